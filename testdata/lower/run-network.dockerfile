FROM debian
RUN --network=none a
RUN --network=host b
RUN --security=insecure --device=/dev/kvm --device=vendor.com/gpu=all,required c
RUN --security=sandbox d
RUN --network=default c
RUN --security=sandbox d
