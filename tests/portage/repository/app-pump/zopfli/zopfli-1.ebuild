# CMake: zopfli from Debian's source package, C and C++. CMake tries compilers with files that change under one name.
EAPI=8
DESCRIPTION="zopfli"
SLOT="0"
KEYWORDS="amd64"
S=${WORKDIR}/zopfli

src_unpack() {
	cp -a "${PUMPHOUSE_SOURCES}/zopfli" "${WORKDIR}/" || die
}

src_configure() {
	cmake -S . -B build -G "Unix Makefiles" -DCMAKE_BUILD_TYPE=None -DCMAKE_INSTALL_PREFIX="${EPREFIX}/usr" \
		-DCMAKE_C_COMPILER=gcc -DCMAKE_CXX_COMPILER=g++ || die
}

src_compile() {
	emake -C build
}

src_install() {
	emake -C build DESTDIR="${D}" install
}
