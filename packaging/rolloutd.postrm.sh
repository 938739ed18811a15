
# The journal, and the models that were staged, outlive a removal and go with a purge.
if [ "$1" = purge ]; then
	rm -rf /var/lib/rollout /run/rollout
fi
