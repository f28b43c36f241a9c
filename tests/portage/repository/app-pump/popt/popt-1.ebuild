# autotools and libtool: popt from Debian's source package. configure runs a good hundred probes.
EAPI=8
DESCRIPTION="popt"
SLOT="0"
KEYWORDS="amd64"
S=${WORKDIR}/popt

src_unpack() {
	cp -a "${PUMPHOUSE_SOURCES}/popt" "${WORKDIR}/" || die
}

src_configure() {
	./configure --prefix="${EPREFIX}/usr" --disable-nls --disable-dependency-tracking || die
}

src_install() {
	emake DESTDIR="${D}" install
	# What the probes found, as the compiler sees it.
	insinto /usr/share/popt
	doins config.h
}
