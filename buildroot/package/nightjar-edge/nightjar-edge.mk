################################################################################
#
# nightjar-edge
#
################################################################################

NIGHTJAR_EDGE_VERSION = 0.1.0-$(NIGHTJAR_COMMIT)
NIGHTJAR_EDGE_SITE = file://$(NIGHTJAR_SITE)
NIGHTJAR_EDGE_SOURCE = $(NIGHTJAR_SOURCE)
NIGHTJAR_EDGE_DL_SUBDIR = nightjar
NIGHTJAR_EDGE_LICENSE = Apache-2.0 or MIT
NIGHTJAR_EDGE_LICENSE_FILES = LICENSE-APACHE LICENSE-MIT
NIGHTJAR_EDGE_SUBDIR = edge
NIGHTJAR_EDGE_PRE_DOWNLOAD_HOOKS += NIGHTJAR_MAKE_SOURCE
# Inference is what the processor does all day.
NIGHTJAR_EDGE_CARGO_ENV = CARGO_PROFILE_RELEASE_OPT_LEVEL="3"

$(eval $(cargo-package))
