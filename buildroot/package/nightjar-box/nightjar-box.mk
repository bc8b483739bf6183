################################################################################
#
# nightjar-box
#
################################################################################

NIGHTJAR_BOX_VERSION = 0.1.0-$(NIGHTJAR_COMMIT)
NIGHTJAR_BOX_SITE = file://$(NIGHTJAR_SITE)
NIGHTJAR_BOX_SOURCE = $(NIGHTJAR_SOURCE)
NIGHTJAR_BOX_DL_SUBDIR = nightjar
NIGHTJAR_BOX_LICENSE = Apache-2.0 or MIT
NIGHTJAR_BOX_LICENSE_FILES = LICENSE-APACHE LICENSE-MIT
NIGHTJAR_BOX_SUBDIR = image/box
NIGHTJAR_BOX_PRE_DOWNLOAD_HOOKS += NIGHTJAR_MAKE_SOURCE

$(eval $(cargo-package))
