//! Spellings as small numbers, the same for all threads and for the life of the process.
//!
//! Only names and tokens of directive lines become atoms. The table never forgets; it grows with the distinct spellings of the
//! directives seen, not with the number of files or requests.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use dashmap::DashMap;

/// An interned spelling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Atom(pub u32);

const FIRST_CHUNK: usize = 1024;
const CHUNKS: usize = 22;

type Chunk = Box<[OnceLock<&'static [u8]>]>;

struct Interner {
    numbers: DashMap<&'static [u8], u32>,
    next: AtomicU32,
    /// Chunk `k` holds `FIRST_CHUNK << k` spellings, so that readers need no lock.
    chunks: [OnceLock<Chunk>; CHUNKS],
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
                let slots = self.chunks[chunk]
                    .get_or_init(|| (0..FIRST_CHUNK << chunk).map(|_| OnceLock::new()).collect());
                // The number is ours alone, so the slot is empty.
                let _ = slots[at].set(kept);
                entry.insert(number);
                Atom(number)
            }
        }
    }
}

fn interner() -> &'static Interner {
    static INTERNER: OnceLock<Interner> = OnceLock::new();
    INTERNER.get_or_init(|| {
        let interner = Interner {
            numbers: DashMap::new(),
            next: AtomicU32::new(0),
            chunks: std::array::from_fn(|_| OnceLock::new()),
        };
        for spelling in known::SPELLINGS {
            interner.intern(spelling);
        }
        interner
    })
}

impl Atom {
    /// The atom of a spelling.
    pub fn of(spelling: &[u8]) -> Atom {
        interner().intern(spelling)
    }

    /// The spelling.
    pub fn spelling(self) -> &'static [u8] {
        let (chunk, at) = place(self.0);
        let slot = interner().chunks[chunk]
            .get()
            .and_then(|slots| slots[at].get());
        slot.copied().unwrap_or_default()
    }

    /// The spelling as text, for messages.
    pub fn display(self) -> std::borrow::Cow<'static, str> {
        String::from_utf8_lossy(self.spelling())
    }
}

/// How many atoms there are; every atom's number is below it.
pub fn count() -> usize {
    interner().next.load(Ordering::Relaxed) as usize
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

    known! {
        EMPTY = b"",
        OPEN = b"(",
        CLOSE = b")",
        COMMA = b",",
        HASH = b"#",
        PASTE = b"##",
        HASH_DIGRAPH = b"%:",
        PASTE_DIGRAPH = b"%:%:",
        ELLIPSIS = b"...",
        LESS = b"<",
        GREATER = b">",
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
