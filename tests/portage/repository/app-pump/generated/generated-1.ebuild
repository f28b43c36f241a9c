# Headers that do not exist when make starts, that are written anew while it runs, and that come to stand in front of
# others on the search path. This is why Portage dropped distcc-pump (Gentoo bug 702146).
EAPI=8
DESCRIPTION="headers that are generated during make"
SLOT="0"
KEYWORDS="amd64"
S=${WORKDIR}

src_unpack() {
	cp "${FILESDIR}"/* . || die
	mkdir include generated || die
	echo '#define WHERE "include"' > include/where.h
	printf '#include "where.h"\nconst char *before(void) { return WHERE; }\n' > before.c
	printf '#include "where.h"\nconst char *after(void) { return WHERE; }\n' > after.c
}

src_configure() { :; }

src_compile() {
	emake -j1 CFLAGS="${CFLAGS}"
}

src_install() {
	[[ $(./show) == "include generated 12345678" ]] || die "a stale header was compiled: $(./show)"
	dobin show
}
