
# For rollout_zone's state=: nginx's worker processes write the last known routes there. Whose it is, where it is there, is the
# operator's choice: nginx may run as another user.
if [ "$1" = configure ] && [ ! -d /var/lib/nginx/rollout ]; then
	install -d -m 0755 -o www-data -g www-data /var/lib/nginx/rollout
fi

# After a reload nginx still runs the code that it has loaded before: a module's new one takes a new nginx process, which takes
# the sockets over from the old one while that ends its requests. nginx's own package upgrades itself in this way.
if [ "$1" = configure ] && [ -n "$2" ] && command -v nginx > /dev/null; then
	if invoke-rc.d --quiet nginx status > /dev/null 2>&1; then
		if ! nginx -t -q || ! invoke-rc.d nginx upgrade; then
			echo "nginx goes on with the module of before: mend what is said above, then run: service nginx upgrade" >&2
		fi
	fi
fi
