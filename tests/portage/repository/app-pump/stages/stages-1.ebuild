# A program that compiles itself in stages, as gcc does: each stage writes the headers of the next, under the same names.
EAPI=8
DESCRIPTION="a program that writes its own next stage"
SLOT="0"
KEYWORDS="amd64"
S=${WORKDIR}

src_unpack() {
	cp "${FILESDIR}"/* . || die
	echo '#define STAGE 1' > stage.h
	echo '#define TABLE' > table.h
}

src_configure() { :; }

src_compile() {
	emake CFLAGS="${CFLAGS}"
}

src_install() {
	dobin stage1 stage2 stage3 stage4
	insinto /usr/share/stages
	doins stage2.o stage3.o stage4.o
}
