FROM python
SHELL ["/bin/bash", "-c"]
RUN <<SCRIPT
#!/usr/bin/env python
print("hi")
SCRIPT
