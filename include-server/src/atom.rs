//! Spellings as small numbers, the same for all threads and for the life of the process.
//!
//! Only names and tokens of directive lines become atoms. The table never forgets; it grows with the distinct spellings of the
//! directives seen, not with the number of files or requests.

use std::cell::RefCell;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, OnceLock};

use dashmap::DashMap;
use foldhash::fast::RandomState;

/// An interned spelling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Atom(pub u32);

const FIRST_CHUNK: usize = 1024;
const CHUNKS: usize = 22;

type Chunk = Box<[OnceLock<&'static [u8]>]>;

struct Interner {
    numbers: DashMap<&'static [u8], u32, RandomState>,
    next: AtomicU32,
}

/// Chunk `k` holds `FIRST_CHUNK << k` spellings, so that readers need no lock.
static SPELLINGS: [OnceLock<Chunk>; CHUNKS] = [const { OnceLock::new() }; CHUNKS];

/// The hash function of all spellings. Its key is random, so that no header can be made whose names collide.
static HASH: LazyLock<RandomState> = LazyLock::new(RandomState::default);

/// Spellings a thread remembers; a power of two.
const RECENT: usize = 4096;

thread_local! {
    /// Atoms that this thread has met lately, by hash: most names of a file are found here without a lock.
    static RECENT_ATOMS: RefCell<Vec<(&'static [u8], Atom)>> = const { RefCell::new(Vec::new()) };
}

/// The chunk and the place in it of an atom's number.
fn place(number: u32) -> (usize, usize) {
    let shifted = number as usize / FIRST_CHUNK + 1;
    let chunk = shifted.ilog2() as usize;
    (chunk, number as usize - FIRST_CHUNK * ((1 << chunk) - 1))
}

impl Interner {
    fn intern(&self, spelling: &[u8]) -> Atom {
        if let Some(number) = self.numbers.get(spelling) {
            return Atom(*number);
        }
        let kept: &'static [u8] = Box::leak(spelling.into());
        match self.numbers.entry(kept) {
            dashmap::Entry::Occupied(entry) => Atom(*entry.get()),
            dashmap::Entry::Vacant(entry) => {
                let number = self.next.fetch_add(1, Ordering::Relaxed);
                let (chunk, at) = place(number);
                let slots = SPELLINGS[chunk]
                    .get_or_init(|| (0..FIRST_CHUNK << chunk).map(|_| OnceLock::new()).collect());
                // The number is ours alone, so the slot is empty.
                let _ = slots[at].set(kept);
                entry.insert(number);
                Atom(number)
            }
        }
    }
}

static INTERNER: LazyLock<Interner> = LazyLock::new(|| {
    let interner = Interner {
        numbers: DashMap::with_hasher(HASH.clone()),
        next: AtomicU32::new(0),
    };
    for spelling in known::SPELLINGS {
        interner.intern(spelling);
    }
    interner
});

impl Atom {
    /// The atom of a spelling.
    pub fn of(spelling: &[u8]) -> Atom {
        RECENT_ATOMS.with_borrow_mut(|recent| {
            if recent.is_empty() {
                recent.resize(RECENT, (b"", known::EMPTY));
            }
            let place = HASH.hash_one(spelling) as usize % RECENT;
            let (known, atom) = recent[place];
            if known == spelling {
                return atom;
            }
            let atom = INTERNER.intern(spelling);
            recent[place] = (atom.spelling(), atom);
            atom
        })
    }

    /// The spelling.
    pub fn spelling(self) -> &'static [u8] {
        let (chunk, at) = place(self.0);
        let slots = SPELLINGS[chunk].get().or_else(|| {
            // Only a known atom can come before the first one that was asked for.
            LazyLock::force(&INTERNER);
            SPELLINGS[chunk].get()
        });
        let slot = slots.and_then(|slots| slots[at].get());
        slot.copied().unwrap_or_default()
    }

    /// The spelling as text, for messages.
    pub fn display(self) -> std::borrow::Cow<'static, str> {
        String::from_utf8_lossy(self.spelling())
    }
}

/// How many atoms there are; every atom's number is below it.
pub fn count() -> usize {
    INTERNER.next.load(Ordering::Relaxed) as usize
}

/// Atoms with a meaning of their own; their numbers are fixed.
#[allow(missing_docs)]
pub mod known {
    use super::Atom;

    macro_rules! known {
        ($($name:ident = $spelling:literal),* $(,)?) => {
            /// In the order of their numbers.
            pub const SPELLINGS: &[&[u8]] = &[$($spelling),*];
            #[allow(non_camel_case_types, clippy::upper_case_acronyms)]
            enum Number { $($name),* }
            $(pub const $name: Atom = Atom(Number::$name as u32);)*
        };
    }

    /// The atom of a punctuator.
    #[inline]
    pub fn punctuator(spelling: &[u8]) -> Atom {
        match spelling {
            [one] if *one < 128 && SINGLE[*one as usize] != EMPTY => SINGLE[*one as usize],
            b"<<" => SHIFT_LEFT,
            b">>" => SHIFT_RIGHT,
            b"<=" => LESS_OR_EQUAL,
            b">=" => GREATER_OR_EQUAL,
            b"==" => EQUAL,
            b"!=" => NOT_EQUAL,
            b"&&" => AND,
            b"||" => OR,
            b"##" => PASTE,
            other => Atom::of(other),
        }
    }

    /// Punctuators of one character.
    static SINGLE: [Atom; 128] = {
        let mut table = [EMPTY; 128];
        let mut number = 0;
        while number < SPELLINGS.len() {
            if let [one] = SPELLINGS[number]
                && one.is_ascii_punctuation()
            {
                table[*one as usize] = Atom(number as u32);
            }
            number += 1;
        }
        table
    };

    known! {
        EMPTY = b"",
        OPEN = b"(",
        CLOSE = b")",
        COMMA = b",",
        NOT = b"!",
        COMPLEMENT = b"~",
        PLUS = b"+",
        MINUS = b"-",
        TIMES = b"*",
        DIVIDE = b"/",
        REMAINDER = b"%",
        SHIFT_LEFT = b"<<",
        SHIFT_RIGHT = b">>",
        LESS = b"<",
        GREATER = b">",
        LESS_OR_EQUAL = b"<=",
        GREATER_OR_EQUAL = b">=",
        EQUAL = b"==",
        NOT_EQUAL = b"!=",
        BIT_AND = b"&",
        BIT_XOR = b"^",
        BIT_OR = b"|",
        AND = b"&&",
        OR = b"||",
        QUESTION = b"?",
        COLON = b":",
        AND_ASSIGN = b"&=",
        OR_ASSIGN = b"|=",
        XOR_ASSIGN = b"^=",
        WORD_AND = b"and",
        WORD_AND_EQ = b"and_eq",
        WORD_BITAND = b"bitand",
        WORD_BITOR = b"bitor",
        WORD_COMPL = b"compl",
        WORD_NOT = b"not",
        WORD_NOT_EQ = b"not_eq",
        WORD_OR = b"or",
        WORD_OR_EQ = b"or_eq",
        WORD_XOR = b"xor",
        WORD_XOR_EQ = b"xor_eq",
        HASH = b"#",
        PASTE = b"##",
        HASH_DIGRAPH = b"%:",
        PASTE_DIGRAPH = b"%:%:",
        ELLIPSIS = b"...",
        DEFINED = b"defined",
        VA_ARGS = b"__VA_ARGS__",
        VA_OPT = b"__VA_OPT__",
        TRUE = b"true",
        FALSE = b"false",
        ZERO = b"0",
        ONE = b"1",
        FILE = b"__FILE__",
        FILE_NAME = b"__FILE_NAME__",
        BASE_FILE = b"__BASE_FILE__",
        LINE = b"__LINE__",
        INCLUDE_LEVEL = b"__INCLUDE_LEVEL__",
        COUNTER = b"__COUNTER__",
        DATE = b"__DATE__",
        TIME = b"__TIME__",
        TIMESTAMP = b"__TIMESTAMP__",
        PRAGMA = b"_Pragma",
        HAS_INCLUDE = b"__has_include",
        HAS_INCLUDE_NEXT = b"__has_include_next",
        HAS_EMBED = b"__has_embed",
        HAS_ATTRIBUTE = b"__has_attribute",
        HAS_CPP_ATTRIBUTE = b"__has_cpp_attribute",
        HAS_C_ATTRIBUTE = b"__has_c_attribute",
        HAS_DECLSPEC_ATTRIBUTE = b"__has_declspec_attribute",
        HAS_BUILTIN = b"__has_builtin",
        HAS_CONSTEXPR_BUILTIN = b"__has_constexpr_builtin",
        HAS_FEATURE = b"__has_feature",
        HAS_EXTENSION = b"__has_extension",
        HAS_WARNING = b"__has_warning",
        IS_IDENTIFIER = b"__is_identifier",
        BUILDING_MODULE = b"__building_module",
        IS_TARGET_ARCH = b"__is_target_arch",
        IS_TARGET_VENDOR = b"__is_target_vendor",
        IS_TARGET_OS = b"__is_target_os",
        IS_TARGET_ENVIRONMENT = b"__is_target_environment",
        IS_TARGET_VARIANT_OS = b"__is_target_variant_os",
        IS_TARGET_VARIANT_ENVIRONMENT = b"__is_target_variant_environment",
        PUSH_MACRO = b"push_macro",
        POP_MACRO = b"pop_macro",
    }
}
