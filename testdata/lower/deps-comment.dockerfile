FROM scratch
# What this comment says is done in the place of the RUN below it.
# deps: node --omit=dev package-lock.json
RUN npm ci --omit=dev
# deps: python is not what this is about, for it is not right above

RUN true
