FROM scratch
DEPS apt --suite=stable ca-certificates \
    tzdata=1
DEPS python --prefix="/opt/a b" -- lock
