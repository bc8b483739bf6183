################################################################################
#
# nightjar-model
#
################################################################################

NIGHTJAR_MODEL_VERSION = dd3362ea685bb7ab1f7268c81ec567d3b720ae57
NIGHTJAR_MODEL_UPSTREAM = https://raw.githubusercontent.com/tensorflow/tflite-support/$(NIGHTJAR_MODEL_VERSION)
NIGHTJAR_MODEL_SITE = $(NIGHTJAR_MODEL_UPSTREAM)/tensorflow_lite_support/metadata/python/tests/testdata/object_detector
NIGHTJAR_MODEL_SOURCE = ssd_mobilenet_v1.tflite
NIGHTJAR_MODEL_EXTRA_DOWNLOADS = $(NIGHTJAR_MODEL_UPSTREAM)/LICENSE
NIGHTJAR_MODEL_LICENSE = Apache-2.0
NIGHTJAR_MODEL_LICENSE_FILES = LICENSE

define NIGHTJAR_MODEL_EXTRACT_CMDS
	cp $(NIGHTJAR_MODEL_DL_DIR)/$(NIGHTJAR_MODEL_SOURCE) $(NIGHTJAR_MODEL_DL_DIR)/LICENSE $(@D)
endef

define NIGHTJAR_MODEL_INSTALL_TARGET_CMDS
	$(INSTALL) -D -m 0644 $(@D)/$(NIGHTJAR_MODEL_SOURCE) $(TARGET_DIR)/usr/share/nightjar/model.tflite
endef

$(eval $(generic-package))
