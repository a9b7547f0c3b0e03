FROM scratch
DEPS
DEPS pyton requirements.txt
DEPS python
DEPS python --prefx=/opt requirements.txt
DEPS --prefix=/opt python requirements.txt
DEPS node --suite=bookworm package-lock.json
