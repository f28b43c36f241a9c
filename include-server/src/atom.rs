//! Spellings as small numbers, the same for all threads and for the life of the process.
//!
//! Only names and tokens of directive lines become atoms. The table never forgets; it grows with the distinct spellings of the
//! directives seen, not with the number of files or requests.

use std::cell::RefCell;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, Mutex, OnceLock, PoisonError};

use foldhash::fast::RandomState;

/// An interned spelling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Atom(pub u32);

const FIRST_CHUNK: usize = 1024;
const CHUNKS: usize = 22;

type Chunk = Box<[OnceLock<&'static [u8]>]>;

struct Interner {
    shards: [Mutex<Shard>; SHARDS],
    next: AtomicU32,
}

/// A power of two.
const SHARDS: usize = 64;

/// The atoms whose hashes begin with the same bits.
#[derive(Default)]
struct Shard {
    /// A hash table with open addressing: the low half of the hash, and the atom's number; `FREE` where there is none.
    slots: Vec<(u32, u32)>,
    used: usize,
    /// Room for spellings to come, which live as long as the process.
    room: &'static mut [u8],
}

const FREE: u32 = u32::MAX;

/// How much room for spellings a shard takes at once.
const ROOM: usize = 8 << 10;

impl Shard {
    /// The atom of a spelling, or the slot where it belongs.
    fn find(&self, spelling: &[u8], hash: u32) -> Result<Atom, usize> {
        let mut at = hash as usize & (self.slots.len() - 1);
        loop {
            match self.slots[at] {
                (_, FREE) => return Err(at),
                (known, number) if known == hash && Atom(number).spelling() == spelling => {
                    return Ok(Atom(number));
                }
                _ => at = (at + 1) & (self.slots.len() - 1),
            }
        }
    }

    /// Makes sure that at least a quarter of the slots is free.
    fn grow(&mut self) {
        if self.used * 4 < self.slots.len() * 3 {
            return;
        }
        let size = (self.slots.len() * 2).max(64);
        let before = std::mem::replace(&mut self.slots, vec![(0, FREE); size]);
        for slot in before.into_iter().filter(|(_, number)| *number != FREE) {
            let mut at = slot.0 as usize & (size - 1);
            while self.slots[at].1 != FREE {
                at = (at + 1) & (size - 1);
            }
            self.slots[at] = slot;
        }
    }

    /// A copy of the spelling that stays.
    fn keep(&mut self, spelling: &[u8]) -> &'static [u8] {
        if spelling.len() > ROOM / 8 {
            return Box::leak(spelling.into());
        }
        if self.room.len() < spelling.len() {
            self.room = Box::leak(vec![0; ROOM].into());
        }
        let (kept, room) = std::mem::take(&mut self.room).split_at_mut(spelling.len());
        self.room = room;
        kept.copy_from_slice(spelling);
        kept
    }
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
    fn intern(&self, spelling: &[u8], hash: u64) -> Atom {
        let shard = &self.shards[(hash >> 32) as usize % SHARDS];
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        shard.grow();
        let hash = hash as u32;
        match shard.find(spelling, hash) {
            Ok(atom) => atom,
            Err(slot) => {
                let number = self.next.fetch_add(1, Ordering::Relaxed);
                let (chunk, at) = place(number);
                let spellings = SPELLINGS[chunk]
                    .get_or_init(|| (0..FIRST_CHUNK << chunk).map(|_| OnceLock::new()).collect());
                // The number is ours alone, so there is nothing yet.
                let _ = spellings[at].set(shard.keep(spelling));
                shard.slots[slot] = (hash, number);
                shard.used += 1;
                Atom(number)
            }
        }
    }
}

static INTERNER: LazyLock<Interner> = LazyLock::new(|| {
    let interner = Interner {
        shards: std::array::from_fn(|_| Mutex::default()),
        next: AtomicU32::new(0),
    };
    for spelling in known::SPELLINGS {
        interner.intern(spelling, HASH.hash_one(spelling));
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
            let hash = HASH.hash_one(spelling);
            let place = hash as usize % RECENT;
            let (known, atom) = recent[place];
            if known == spelling {
                return atom;
            }
            let atom = INTERNER.intern(spelling, hash);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_threads_give_a_spelling_one_number() {
        let spelling = |number: u32| match number % 100 {
            0 => format!("{}{number}", "long".repeat(300)),
            _ => format!("thread_test_{number}"),
        };
        let atoms = || -> Vec<Atom> {
            let all = (0..20_000).map(spelling);
            all.map(|spelling| Atom::of(spelling.as_bytes())).collect()
        };
        let by_threads: Vec<Vec<Atom>> = std::thread::scope(|scope| {
            let threads = [(); 3].map(|()| scope.spawn(atoms));
            threads.map(|thread| thread.join().unwrap()).into()
        });
        for found in &by_threads {
            assert_eq!(*found, by_threads[0]);
        }
        for (number, atom) in (0..).zip(&by_threads[0]) {
            assert_eq!(atom.spelling(), spelling(number).as_bytes());
            assert!((atom.0 as usize) < count());
        }
        assert_eq!(Atom::of(b"defined"), known::DEFINED);
        assert_eq!(Atom::of(b""), known::EMPTY);
        for punctuator in ["(", "%:", "&&", "{", ";", "->", "##", "<=>"] {
            let punctuator = punctuator.as_bytes();
            assert_eq!(known::punctuator(punctuator), Atom::of(punctuator));
        }
    }
}
