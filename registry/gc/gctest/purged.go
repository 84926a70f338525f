// Package gctest has storages on which collections are tested.
package gctest

import (
	"context"

	"github.com/distribution/distribution/v3/registry/storage/driver"
)

// Purged is a storage of which another program removes a directory just before it is listed.
type Purged struct {
	driver.StorageDriver
	Dir string
}

// List implements driver.StorageDriver.
func (p *Purged) List(ctx context.Context, dir string) ([]string, error) {
	if dir == p.Dir {
		if err := p.Delete(ctx, dir); err != nil {
			return nil, err
		}
	}
	return p.StorageDriver.List(ctx, dir)
}

// Walk implements driver.StorageDriver.
func (p *Purged) Walk(ctx context.Context, from string, visit driver.WalkFn, o ...func(*driver.WalkOptions)) error {
	return driver.WalkFallback(ctx, p, from, visit, o...)
}
