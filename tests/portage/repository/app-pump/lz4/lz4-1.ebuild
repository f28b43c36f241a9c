# Plain make: lz4 from Debian's source package.
EAPI=8
DESCRIPTION="lz4"
SLOT="0"
KEYWORDS="amd64"
S=${WORKDIR}/lz4

src_unpack() {
	cp -a "${PUMPHOUSE_SOURCES}/lz4" "${WORKDIR}/" || die
}

src_configure() { :; }

src_compile() {
	emake CC=gcc CFLAGS="${CFLAGS}" default
}

src_install() {
	emake CC=gcc CFLAGS="${CFLAGS}" DESTDIR="${D}" PREFIX="${EPREFIX}/usr" install
}
