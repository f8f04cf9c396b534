"""Events for subscribers: the feed, subscriptions, delivery."""
