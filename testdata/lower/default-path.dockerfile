#: image bare {}
FROM bare
ENV A=1
RUN true
