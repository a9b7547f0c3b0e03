FROM scratch as base
EXPOSE x
CMD here
