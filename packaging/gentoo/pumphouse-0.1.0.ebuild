# Pumphouse in the place of sys-devel/distcc. Put it into an overlay as sys-devel/pumphouse. There is no public place to
# fetch it from: make both archives from a checkout, and put them into DISTDIR,
#     git archive --prefix=pumphouse-0.1.0/ HEAD | xz > pumphouse-0.1.0.tar.xz
#     pycargoebuild --crate-tarball --crate-tarball-path pumphouse-0.1.0-crates.tar.xz .

EAPI=8

inherit cargo

DESCRIPTION="distcc's pump mode done right: client, include server and caching server"
# None of its own; distcc's says what the programs are for.
HOMEPAGE="https://www.distcc.org/"
SRC_URI="${P}.tar.xz ${P}-crates.tar.xz"

# The programs link lzo1x, which is GPL-2 only.
LICENSE="GPL-2"
SLOT="0"
KEYWORDS="~amd64 ~arm64"
RESTRICT="fetch mirror"
IUSE="xinetd"

RDEPEND="
	!sys-devel/distcc
	acct-group/distcc
	acct-user/distcc
	app-shells/bash
	xinetd? ( sys-apps/xinetd )
"
BDEPEND=">=virtual/rust-1.90"

pkg_nofetch() {
	einfo "Make these archives from a checkout, as the ebuild's head says, and put them into ${DISTDIR:-DISTDIR}:"
	einfo "    ${A}"
}

src_compile() {
	# A 64-bit profile's LIBDIR is a place for the list of compilers, too.
	export PUMPHOUSE_LIBDIR_DISTCC="${EPREFIX}/usr/$(get_libdir)/distcc"
	cargo_src_compile
}

src_install() {
	packaging/scripts/install gentoo "${D}" "$(cargo_target_dir)" || die
	use xinetd || rm -r "${D}/etc/xinetd.d" || die
	keepdir /usr/lib/distcc
	einstalldocs
	dodoc packaging/COMPATIBILITY.md
}

pkg_postinst() {
	if [[ -z ${ROOT} ]]; then
		if command -v eselect > /dev/null && eselect compiler-shadow list > /dev/null 2>&1; then
			eselect compiler-shadow update distcc
		else
			update-distcc-symlinks
		fi
	fi
	elog "Pump mode in Portage: add distcc and distcc-pump to FEATURES in make.conf, and to /etc/portage/bashrc the line"
	elog "    source ${EPREFIX}/usr/share/distcc/pump.bashrc"
	elog "Hosts: distcc-config --set-hosts \"box1/8,cpp,lzo box2/8,cpp,lzo\""
	elog "What runs now: DISTCC_DIR=${EPREFIX}/var/tmp/portage/.distcc distccmon-text 5"
}

pkg_prerm() {
	# The links were made after the installation, so Portage does not know them.
	if [[ -z ${REPLACED_BY_VERSION} ]]; then
		local link
		for link in "${EROOT}"/usr/lib/distcc/*; do
			[[ -L ${link} && $(readlink "${link}") == */bin/distcc ]] && rm "${link}"
		done
	fi
}
