################################################################################
#
# nightjar-signal
#
################################################################################

NIGHTJAR_SIGNAL_VERSION = 0.1.0-$(NIGHTJAR_COMMIT)
NIGHTJAR_SIGNAL_SITE = file://$(NIGHTJAR_SITE)
NIGHTJAR_SIGNAL_SOURCE = $(NIGHTJAR_SOURCE)
NIGHTJAR_SIGNAL_DL_SUBDIR = nightjar
NIGHTJAR_SIGNAL_LICENSE = Apache-2.0 or MIT
NIGHTJAR_SIGNAL_LICENSE_FILES = LICENSE-APACHE LICENSE-MIT
NIGHTJAR_SIGNAL_SUBDIR = signal
NIGHTJAR_SIGNAL_PRE_DOWNLOAD_HOOKS += NIGHTJAR_MAKE_SOURCE

$(eval $(cargo-package))
