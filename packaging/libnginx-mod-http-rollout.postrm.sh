
if [ "$1" = purge ]; then
	rm -rf /var/lib/nginx/rollout
fi
