#: label owner=cli
#: label extra=1
#: image app {"Labels": {"owner": "base", "kept": "yes"}}
FROM app
LABEL owner=file version="1 0" $NOTHING.key=x
LABEL old style value
