# Nightjar's part of Buildroot: where our sources come from, and the licences that a card carries.

# Sources are this repository at its newest commit; what is not committed is not built. The commit
# stands in the version, so that a newer one is built anew.
NIGHTJAR_REPOSITORY = $(realpath $(BR2_EXTERNAL_NIGHTJAR_PATH)/..)
NIGHTJAR_COMMIT := $(shell git -C $(BR2_EXTERNAL_NIGHTJAR_PATH) rev-parse --short=12 HEAD)
NIGHTJAR_SOURCE = nightjar-$(NIGHTJAR_COMMIT).tar.gz
NIGHTJAR_SITE = $(BASE_DIR)/nightjar-source

# Makes the archive that the download step takes, and into which it puts the crates that Cargo.lock
# names by digest. There is no digest of the archive itself: it would have to stand in it.
define NIGHTJAR_MAKE_SOURCE
	mkdir -p $(NIGHTJAR_SITE)
	git -C $(NIGHTJAR_REPOSITORY) archive --format=tar.gz --prefix=nightjar/ \
		--output=$(NIGHTJAR_SITE)/$(NIGHTJAR_SOURCE).$(PKG) $(NIGHTJAR_COMMIT)
	mv $(NIGHTJAR_SITE)/$(NIGHTJAR_SOURCE).$(PKG) $(NIGHTJAR_SITE)/$(NIGHTJAR_SOURCE)
endef

# The licences of everything on the card, in its own words: of each package, and of each crate.
NIGHTJAR_LICENCES = $(TARGET_DIR)/usr/share/licences

define NIGHTJAR_COPY_LICENCE
	if [ -f $(1)/$(2) ]; then $(INSTALL) -D -m 0644 $(1)/$(2) $(NIGHTJAR_LICENCES)/$(3)/$(2); fi
endef

define NIGHTJAR_COPY_LICENCES
	rm -rf $(NIGHTJAR_LICENCES)
	$(foreach p,$(filter-out host-%,$(PACKAGES)),\
		$(foreach f,$($(call UPPERCASE,$(p))_LICENSE_FILES),\
			$(call NIGHTJAR_COPY_LICENCE,$($(call UPPERCASE,$(p))_DIR),$(f),$(p))$(sep)))
	cd $(NIGHTJAR_EDGE_DIR)/VENDOR && find . -maxdepth 2 -type f \
		\( -iname 'licen[cs]e*' -o -iname 'copying*' -o -iname 'notice*' \) \
		-exec $(INSTALL) -D -m 0644 {} $(NIGHTJAR_LICENCES)/crates/{} \;
endef

ifeq ($(BR2_PACKAGE_NIGHTJAR_EDGE),y)
TARGET_FINALIZE_HOOKS += NIGHTJAR_COPY_LICENCES
endif

include $(sort $(wildcard $(BR2_EXTERNAL_NIGHTJAR_PATH)/package/*/*.mk))
