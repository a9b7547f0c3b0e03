FROM scratch
ADD rootfs.tar.gz /
ADD --unpack=false keep.tar /archives/
ADD --unpack --chown=5 a.tar b.tar /both/
