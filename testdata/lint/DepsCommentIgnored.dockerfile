FROM scratch
# deps: pyhton requirements.txt
RUN pip install -r requirements.txt
# deps: python requirements.txt

# Not right above.
RUN make
# deps: apt curl
# for downloads
RUN apt-get install -y curl
# deps: node package-lock.json
COPY package-lock.json /
