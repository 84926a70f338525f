package gc

import (
	"context"
	"fmt"
	"sync"

	"github.com/distribution/distribution/v3/registry/storage/driver"
	"golang.org/x/sync/errgroup"
)

// removalOrder removes what refers before that to which it refers. So a removal that is cut off leaves no reference to
// what is gone, and a blob counts until it is gone.
var removalOrder = []kind{upload, tempFile, tag, history, manifest, layer, bare, emptied, blob, unlinked}

func (c *collection) removeGarbage(ctx context.Context) (Result, error) {
	var freed Result
	if len(c.recent) > 0 {
		c.Report.Step("%d blobs that nothing refers to are younger than %s, and stay", len(c.recent), c.Grace)
	}
	for _, k := range removalOrder {
		if err := c.removeKind(ctx, k, &freed); err != nil {
			return freed, err
		}
	}
	return freed, nil
}

func (c *collection) removeKind(ctx context.Context, k kind, freed *Result) error {
	group, limited := errgroup.WithContext(ctx)
	group.SetLimit(maxRequests)
	var lock sync.Mutex
	for _, one := range c.garbage {
		if one.kind != k {
			continue
		}
		if limited.Err() != nil {
			break
		}
		group.Go(func() error {
			if wanted, err := c.inUse(limited, one); err != nil || wanted {
				return err
			}
			if err := c.remove(limited, one.dir); err != nil {
				return err
			}
			lock.Lock()
			defer lock.Unlock()
			freed.count(one)
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return ctx.Err()
}

// inUse returns whether a directory that had nothing has something again: another process on the same storage may have taken a push
// since.
func (c *collection) inUse(ctx context.Context, one item) (bool, error) {
	if one.kind != emptied && one.kind != bare || c.DryRun {
		return false, nil
	}
	found := false
	err := Walk(ctx, c.storage, one.dir, func(driver.FileInfo) error {
		found = true
		return nil
	})
	return found, err
}

// remove removes a directory or a file. It ignores that it is gone already.
func (c *collection) remove(ctx context.Context, dir string) error {
	if err := ctx.Err(); err != nil || c.DryRun {
		return err
	}
	if err := c.storage.Delete(ctx, dir); err != nil && !missing(err) {
		return fmt.Errorf("remove %q from the registry: %w", dir, err)
	}
	return nil
}

func (r *Result) count(one item) {
	r.Bytes += one.bytes
	switch one.kind {
	case manifest:
		r.Manifests++
	case layer:
		r.Layers++
	case blob:
		r.Blobs++
	case upload:
		r.Uploads++
	}
}
