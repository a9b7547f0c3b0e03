FROM scratch
# check=skip=MaintainerDeprecated
MAINTAINER me
# a remark
# check=skip=SecretsUsedInArgOrEnv,LegacyKeyValueFormat // never leaves the stage
ENV token x
ENV token x
# check=skip=all
CMD here
# check=neither fish nor flesh
ENTRYPOINT here
