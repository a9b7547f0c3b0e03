FROM scratch
# deps: python requirements.txt
RUN pip install -r requirements.txt
# deps: what the service needs besides
COPY lib /lib/
