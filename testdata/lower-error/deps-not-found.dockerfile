#: nowhere python
FROM debian
DEPS python requirements.txt
