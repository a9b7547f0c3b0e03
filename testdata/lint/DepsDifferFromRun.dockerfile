FROM scratch
# deps: python requirements.txt
RUN pip install --no-cache-dir -r other.txt flask && ./setup.sh
# deps: node --omit=dev package-lock.json
RUN npm ci
# deps: node package-lock.json
RUN ["npm", "install", "--production", "left-pad"]
# deps: apt curl git
RUN apt-get update && apt-get install -y --no-install-recommends curl vim && rm -rf /var/lib/apt/lists/*
# deps: python uv.lock
RUN <<EOF
echo nothing
EOF
