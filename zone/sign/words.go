package sign

import "slices"

// Kind is what a key of a zone is for at a time, in seconds since 1970: "ZSK", "KSK", or "CSK" where it signs everything.
func (k *Key) Kind(keys []*Key, now int64) string {
	switch {
	case !k.IsEntry():
		return "ZSK"
	case slices.ContainsFunc(keys, func(other *Key) bool {
		return !other.IsEntry() && other.Algorithm == k.Algorithm && other.Times.Active(now) && other.Times.Published(now)
	}):
		return "KSK"
	}
	return "CSK"
}

// State is what a key does at a time.
func (k *Key) State(now int64) string {
	switch {
	case k.Times.Active(now):
		return "signs"
	case k.Times.Published(now):
		return "published"
	}
	return "not in the zone"
}
