FROM scratch
COPY a /
COPY b /
COPY c /
COPY d /
COPY e /
COPY f /
COPY g /
COPY h /
COPY i /
COPY j /
WORKDIR /k
WORKDIR /
