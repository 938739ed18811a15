
# What is loaded serves on, so that nobody would notice before nginx is to start again.
if [ "$1" = remove ] && command -v nginx > /dev/null && ! nginx -t -q; then
	echo "nginx serves on, but cannot start again without the module: take what is said above out of its configuration" >&2
fi

if [ "$1" = purge ]; then
	rm -rf /var/lib/nginx/rollout
fi
