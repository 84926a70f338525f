package config

import "errors"

// Limits are what the registry lets its clients take.
type Limits struct {
	MaxBlobSize             int64 // bytes; any size when 0
	MaxUploads              int   // at a time; any number when 0
	Quota                   int64 // bytes that a namespace may take; any number when 0
	MaxOpenUploads          int   // of a namespace at a time; DefaultOpenUploads when 0
	MaxConnections          int   // open at a time; DefaultConnections when 0
	MaxConnectionsPerClient int   // of one address, or one /64 of IPv6; DefaultConnectionsPerClient when 0
}

// Check returns what is wrong with the limits of a registry, or of a cache of an upstream, which has no quota.
func (l Limits) Check(upstream string) error {
	switch {
	case l.MaxBlobSize < 0 || l.MaxUploads < 0 || l.MaxOpenUploads < 0:
		return errors.New("--max-blob-size, --max-uploads and --max-open-uploads are not negative")
	case l.MaxConnections < 0 || l.MaxConnectionsPerClient < 0:
		return errors.New("--max-connections and --max-connections-per-client are not negative")
	case l.Quota < 0:
		return errors.New("--quota is not negative")
	case l.Quota > 0 && upstream != "":
		return errors.New("--quota is for what is pushed, and nothing can be pushed to a cache of another registry")
	}
	return nil
}
