FROM scratch
ADD files/a /a
