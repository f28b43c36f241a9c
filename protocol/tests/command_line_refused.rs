//! What a server does not run for a client: a row for each way that an option could make a compiler run, read or write something else,
//! with the decision. What is not refused is harmless by the sandbox: a compiler sees, opens and executes nothing but toolchains and the
//! job's own files, and no file of a client's can be executed.

use RefusedClass::{
    LoadsCode, OtherSyntax, ReadsOptions, RunsProgram, Specs, UnknownForwarded, WritesFile,
};
use protocol::command_line::{CommandLine, RefusedClass};

fn refused(line: &str) -> Option<RefusedClass> {
    let words: Vec<Vec<u8>> = line
        .split(' ')
        .map(|word| word.as_bytes().to_vec())
        .collect();
    let refusal = CommandLine::parse(&words).refused_by_server();
    refusal.map(|refusal| {
        let text = refusal.to_string();
        assert!(text.len() > refusal.word.len() + 5, "{line}: {text}");
        refusal.class
    })
}

#[test]
fn what_runs_loads_or_reads_options_is_refused() {
    for (line, class) in [
        // Response files are expanded wherever they stand: as operands, as values, behind "--", and once more by the preprocessor and by LLVM.
        ("gcc -c a.c @file", ReadsOptions),
        ("gcc -c a.c -o @file", ReadsOptions),
        ("gcc -c a.c -I @file", ReadsOptions),
        ("gcc -c a.c -D @file", ReadsOptions),
        ("gcc -c -x @file a.c", ReadsOptions),
        ("gcc -c a.c -- @file", ReadsOptions),
        ("gcc -c a.c -L @file", ReadsOptions),
        ("gcc -c a.c -Wp,@file", ReadsOptions),
        ("gcc -c a.c -Wp,-DX,@file", ReadsOptions),
        ("gcc -c a.c -Xpreprocessor @file", ReadsOptions),
        ("gcc -c a.c -Wa,@x", ReadsOptions),
        ("gcc -c a.c -Wa,-W,@x", ReadsOptions),
        ("gcc -c a.c -Xassembler @file", ReadsOptions),
        ("clang -c a.c -mllvm @file", ReadsOptions),
        ("clang -c a.c -Xclang -mllvm -Xclang @file", ReadsOptions),
        ("clang -c a.c -Xclang @file", ReadsOptions),
        ("clang -c a.c --config=x", ReadsOptions),
        ("clang -c a.c --config x", ReadsOptions),
        ("clang -c a.c --config-system-dir=x", ReadsOptions),
        ("clang -c a.c --config-user-dir=x", ReadsOptions),
        // Plugins of all kinds.
        ("gcc -c a.c -fplugin=x", LoadsCode),
        ("gcc -c a.c --plugin=x", LoadsCode),
        ("gcc -c a.c -fplugin-arg-x-y=z", LoadsCode),
        ("gcc -c a.c -iplugindir=x", LoadsCode),
        ("gcc -c a.c -Wp,-fplugin=x", LoadsCode),
        ("gcc -c a.c -Xpreprocessor -fplugin=x", LoadsCode),
        ("clang -c a.c -Xclang -load -Xclang x", LoadsCode),
        ("clang -c a.c -Xclang=-load -Xclang x", LoadsCode),
        ("clang -c a.c -Xclang -add-plugin -Xclang x", LoadsCode),
        ("clang -c a.c -Xclang -plugin -Xclang x", LoadsCode),
        ("clang -c a.c -fpass-plugin=x", LoadsCode),
        ("clang -c a.c -mllvm -load=x", LoadsCode),
        ("clang -c a.c -mllvm --load=x", LoadsCode),
        ("clang -c a.c -mllvm -load-pass-plugin=x", LoadsCode),
        (
            "clang -c a.c -Xclang -mllvm -Xclang -load-pass-plugin=x",
            LoadsCode,
        ),
        // Other programs.
        ("gcc -c a.c -wrapper x", RunsProgram),
        ("gcc -c a.c -B/x", RunsProgram),
        ("gcc -c a.c -B x", RunsProgram),
        ("gcc -c a.c --prefix=/x", RunsProgram),
        ("gcc -c a.c -fuse-ld=/x/ld", RunsProgram),
        ("clang -c a.c --ld-path=/x", RunsProgram),
        ("clang -c a.c -ccc-gcc-name x", RunsProgram),
        ("clang -c a.c -ccc-install-dir x", RunsProgram),
        ("clang -c a.cu --cuda-path=/x", RunsProgram),
        ("clang -c a.cu --ptxas-path=/x", RunsProgram),
        ("clang -c a.hip --rocm-path=/x", RunsProgram),
        ("clang -c a.hip --hip-path=/x", RunsProgram),
        ("clang -c a.c --amdgpu-arch-tool=/bin/sh", RunsProgram),
        ("clang -c a.c --nvptx-arch-tool=/bin/sh", RunsProgram),
        ("clang -c a.c --offload-arch-tool=/bin/sh", RunsProgram),
        ("clang -c a.hlsl --dxv-path=/x", RunsProgram),
        ("gcc -c a.c -specs=x", Specs),
        ("gcc -c a.c --specs=x", Specs),
        ("gcc -c a.c --specs x", Specs),
        // Another language of options, in which all of the above can be said.
        ("clang -cc1 -S -load x a.c", OtherSyntax),
        ("clang -cc1as a.s -c", OtherSyntax),
        (
            "clang --driver-mode=cl -c a.c /clang:-fplugin=x",
            OtherSyntax,
        ),
        ("clang-cl -c a.c", OtherSyntax),
        ("/usr/bin/clang-cl-19 -c a.c", OtherSyntax),
        ("mycl3.7 -c a.c", OtherSyntax),
        ("clang-dxc -c a.c", OtherSyntax),
        // Words that go where we do not follow.
        ("clang -c a.c -Xarch_host -fplugin=x", UnknownForwarded),
        ("clang -c a.c -Xarch_x86_64 -fplugin=x", UnknownForwarded),
        ("clang -c a.c -Xopenmp-target -fplugin=x", UnknownForwarded),
        (
            "clang -c a.c --analyze -Xanalyzer -load -Xanalyzer x",
            UnknownForwarded,
        ),
        ("clang -c a.cu -Xcuda-ptxas x", UnknownForwarded),
        ("clang -c a.c -Xunheard-of x", UnknownForwarded),
    ] {
        assert_eq!(refused(line), Some(class), "{line}");
    }
}

#[test]
fn what_writes_a_file_of_a_chosen_name_is_refused() {
    for line in [
        "clang -c a.c -Xclang -header-include-file -Xclang /etc/x",
        "clang -c a.c -Xclang -dependency-file -Xclang /etc/x",
        "clang -c a.c -Xclang -diagnostic-log-file -Xclang /etc/x",
        "clang -c a.c -Xclang -main-file-name -Xclang /etc/x",
        "clang -c a.c -Xclang -o -Xclang /etc/x",
        "clang -c a.c -mllvm -pass-remarks-output=/etc/x",
        "clang -c a.c -mllvm -rewrite-map-file -mllvm ../x",
        "clang -c a.c -MJ /etc/x",
        "clang -c a.c -ftime-trace=/etc/x",
        "clang -c a.c -fcrash-diagnostics-dir=/etc",
        "clang -c a.c -foptimization-record-file=/etc/x",
        "clang -c a.c -fproc-stat-report=/etc/x",
        "clang -c a.c -fmodules-cache-path=/etc",
        "clang -c a.c --serialize-diagnostics /etc/x",
        "gcc -c a.c -Wp,-MD,/etc/x",
        "gcc -c a.c -Wp,-o,/etc/x",
        "gcc -c a.c -Wa,-o,/etc/x",
        "gcc -c a.c -Wa,-al=/etc/x",
        "gcc -c a.c -Wa,--al=/etc/x",
        "gcc -c a.c -Wa,-a=/etc/x",
        "gcc -c a.c -Wa,--MD=/etc/x",
        "gcc -c a.c -Wa,--M=/etc/x",
        "gcc -c a.c -Wa,-MD=/etc/x",
        "gcc -c a.c -Xassembler --MD=/etc/x",
        "gcc -c a.c --for-assembler=--MD=/etc/x",
        "gcc -c a.c -fdump-tree-all=/etc/x",
        "gcc -c a.c -fdump-go-spec=/etc/x",
        "gcc -c a.c -fopt-info=/etc/x",
        "gcc -c a.c -aux-info /etc/x",
        "gcc -c a.c -auxbase /etc/x",
        "gcc -c a.c -auxbase-strip /etc/x",
        "gcc -c a.c -dumpdir /etc/",
        "gcc -c a.c -dumpbase /etc/x",
        "gcc -c a.c -dumpbase-ext x",
        "gcc -c a.c -fprofile-note=/etc/x",
        "gcc -c a.c -fdeps-file=/etc/x",
        "gcc -c a.c -fdiagnostics-add-output=sarif:file=/etc/x",
    ] {
        assert_eq!(refused(line), Some(WritesFile), "{line}");
    }
}

#[test]
fn what_the_sandbox_makes_harmless_is_not_refused() {
    for line in [
        // Everyday words.
        "gcc -O2 -g -Wall -DX -c a.c -o a.o -MD -MF a.d -MT a.o -Wa,--noexecstack -fuse-ld=gold",
        "gcc -Wp,-DX -c a.c -flto -fopt-info-vec",
        "gcc -c a.c -Wa,-mrelax-relocations=no,--fatal-warnings,-I/x,-aghlms,--defsym,X=1",
        "clang -target arm -mllvm -inline-threshold=1 -Xclang -fno-validate-pch -c a.c",
        "g++ -pipe -pthread -x c++ -std=c++20 -c a.c",
        // Outputs: inside the job's own files, or the job is refused when it is laid out.
        "gcc -c a.c -o /etc/x",
        "gcc -c a.c -MD -MF /etc/x",
        "gcc -c a.c -save-temps -fstack-usage -fcallgraph-info -gsplit-dwarf",
        // Reads by name: only toolchains and the job's own files can be opened.
        "gcc -c /etc/shadow",
        "gcc -c a.c -include /etc/shadow -imacros /etc/shadow -I/root -idirafter /root",
        "gcc -c a.c --sysroot=/root -isysroot /root",
        "gcc -c a.c -fprofile-use=/etc/shadow -fauto-profile=/etc/shadow",
        "clang -c a.c -fsanitize-ignorelist=/etc/shadow -include-pch /etc/shadow",
        "clang -c a.c -ivfsoverlay /etc/shadow -resource-dir=/root --gcc-toolchain=/root",
        // Linking: a compile does not.
        "gcc -c a.c -Wl,-T,/etc/x -Xlinker -plugin -Xlinker x -T /etc/x -L/root -z now",
        // Questions: no object comes of it.
        "gcc -c a.c -###",
        "gcc -c a.c -print-search-dirs -v --version -dumpspecs",
    ] {
        assert_eq!(refused(line), None, "{line}");
    }
}
