FROM debian
RUN --device=gpu,optional make
RUN --device=,required make
RUN --security=secure make
RUN --network=bridge make
