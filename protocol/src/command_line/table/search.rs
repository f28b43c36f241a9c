//! The include search path.

use crate::command_line::option::{
    LocalClass, Meaning, OptionRow, PlainClass, RefusedClass, SearchKind, Takes, row,
};
use Meaning::{Code, Search};
use PlainClass::Overlay;
use SearchKind::{
    After, Bracket, Framework, HeaderSysroot, LanguageSystem, Multilib, NoStandard, NoStandardPart,
    Prefix, Programs, Quote, Split, Sysroot, System, Toolchain, WithPrefix, WithPrefixBefore,
    WithSysroot,
};
use Takes::{Joined, JoinedOrSeparate, Long, Nothing, Separate};

/// Sorted by spelling.
pub(super) const ROWS: &[OptionRow] = &[
    row("--embed-dir=", Joined, Search(Bracket))
        .plain(PlainClass::Search)
        .path(),
    row("--gcc-install-dir=", Joined, Search(Toolchain)).path(),
    row("--gcc-toolchain=", Joined, Search(Toolchain)).path(),
    row("--gcc-triple=", Joined, Search(Toolchain)),
    row("--include-barrier", Nothing, Search(Split)).plain(PlainClass::Search),
    row("--include-directory", Long, Search(Bracket)).path(),
    row("--include-directory-after", Long, Search(After)).path(),
    row("--include-prefix", Long, Search(Prefix)).path(),
    row("--include-with-prefix", Long, Search(WithPrefix)).path(),
    row("--include-with-prefix-after", Long, Search(WithPrefix)).path(),
    row(
        "--include-with-prefix-before",
        Long,
        Search(WithPrefixBefore),
    )
    .path(),
    row("--no-standard-includes", Nothing, Search(NoStandard)),
    row("--no-system-header-prefix=", Joined, Code),
    row("--prefix", Long, Search(Programs))
        .local(LocalClass::RunsProgram)
        .refused(RefusedClass::RunsProgram)
        .path(),
    row("--resource", Long, Search(Toolchain)).path(),
    row("--stdlib", Long, Search(Toolchain)),
    row("--sysroot", Long, Search(Sysroot)).path(),
    row("--system-header-prefix=", Joined, Code),
    row(
        "--vfsoverlay",
        JoinedOrSeparate,
        Search(SearchKind::Overlay),
    )
    .plain(Overlay)
    .path(),
    row("-B", JoinedOrSeparate, Search(Programs))
        .local(LocalClass::RunsProgram)
        .refused(RefusedClass::RunsProgram)
        .path(),
    row("-F", JoinedOrSeparate, Search(Framework))
        .plain(PlainClass::Search)
        .path(),
    row("-I", JoinedOrSeparate, Search(Bracket)).stock_path(),
    row("-I-", Nothing, Search(Split)).plain(PlainClass::Search),
    row("-c-isystem", Separate, Search(LanguageSystem))
        .path()
        .forwarded_only(),
    row("-cxx-isystem", JoinedOrSeparate, Search(LanguageSystem))
        .plain(PlainClass::Search)
        .path(),
    row("-iapinotes-modules", JoinedOrSeparate, Code)
        .local(LocalClass::Modules)
        .path(),
    row("-ibuiltininc", Nothing, Search(NoStandardPart)),
    row("-idirafter", JoinedOrSeparate, Search(After)).stock_path(),
    row("-iframework", JoinedOrSeparate, Search(Framework))
        .plain(PlainClass::Search)
        .path(),
    row(
        "-iframeworkwithsysroot",
        JoinedOrSeparate,
        Search(Framework),
    )
    .plain(PlainClass::Search)
    .path(),
    row("-imultiarch", Separate, Search(Multilib)).plain(PlainClass::Search),
    row("-imultilib", Separate, Search(Multilib)).plain(PlainClass::Search),
    row("-index-header-map", Nothing, Search(SearchKind::Overlay)).plain(PlainClass::Search),
    row("-iprefix", JoinedOrSeparate, Search(Prefix)).stock_path(),
    row("-iquote", JoinedOrSeparate, Search(Quote)).stock_path(),
    row("-isysroot", JoinedOrSeparate, Search(HeaderSysroot)).path(),
    row("-isystem", JoinedOrSeparate, Search(System)).stock_path(),
    row("-isystem-after", JoinedOrSeparate, Search(After)).path(),
    row(
        "-ivfsoverlay",
        JoinedOrSeparate,
        Search(SearchKind::Overlay),
    )
    .plain(Overlay)
    .path(),
    row("-iwithprefix", JoinedOrSeparate, Search(WithPrefix)).stock_path(),
    row(
        "-iwithprefixbefore",
        JoinedOrSeparate,
        Search(WithPrefixBefore),
    )
    .stock_path(),
    row("-iwithsysroot", JoinedOrSeparate, Search(WithSysroot))
        .plain(PlainClass::Search)
        .path(),
    row("-nobuiltininc", Nothing, Search(NoStandardPart)),
    row("-nostdinc", Nothing, Search(NoStandard)),
    row("-nostdinc++", Nothing, Search(NoStandardPart)),
    row("-nostdlibinc", Nothing, Search(NoStandardPart)),
    row("-resource-dir", JoinedOrSeparate, Search(Toolchain)).path(),
    row("-resource-dir=", Joined, Search(Toolchain)).path(),
    row(
        "-stdlib++-isystem",
        JoinedOrSeparate,
        Search(LanguageSystem),
    )
    .plain(PlainClass::Search)
    .path(),
    row("-stdlib=", Joined, Search(Toolchain)),
    row("-vfsoverlay", JoinedOrSeparate, Search(SearchKind::Overlay))
        .plain(Overlay)
        .path(),
];
