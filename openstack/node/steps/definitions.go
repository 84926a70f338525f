package steps

import (
	"context"
	"fmt"
	"strings"

	"ndock/openstack"
	"ndock/openstack/horizon"
	"ndock/openstack/node"
	"ndock/openstack/node/record"
)

// definitions is the step of a controller that adds metadata definitions for flavors and images to Glance.
type definitions struct {
	Machine
	added    []string                // namespaces, by this run
	replaced []openstack.Definitions // as they were before this run
	recorded bool                    // this run was the first to record that there are definitions
}

// Definitions is the part of Glance's API that the step uses.
type Definitions interface {
	Definitions(ctx context.Context, namespace string) (*openstack.Definitions, error)
	AddDefinitions(ctx context.Context, all openstack.Definitions) error
	RemoveDefinitions(ctx context.Context, namespace string) error
}

func (d *definitions) Title() string { return "metadata" }

// each calls a function for each namespace, with what Glance has of it; nil where it has none.
func (d *definitions) each(ctx context.Context, do func(glance Definitions, found *openstack.Definitions, want openstack.Definitions) error) error {
	all, err := horizon.Definitions()
	if err != nil {
		return err
	}
	glance, err := d.Glance(ctx)
	if err != nil {
		return err
	}
	for _, want := range all {
		found, err := glance.Definitions(ctx, want.Namespace)
		if err != nil {
			return err
		}
		if err := do(glance, found, want); err != nil {
			return err
		}
	}
	return nil
}

func (d *definitions) Plan(ctx context.Context) ([]string, error) {
	var plan []string
	return plan, d.each(ctx, func(_ Definitions, found *openstack.Definitions, want openstack.Definitions) error {
		switch {
		case found == nil:
			plan = append(plan, "add "+want.Namespace+" to Glance's metadata definitions")
		case !found.Equal(want):
			plan = append(plan, "replace "+want.Namespace+" in Glance's metadata definitions")
		}
		return nil
	})
}

func (d *definitions) Do(ctx context.Context) error {
	err := d.each(ctx, func(glance Definitions, found *openstack.Definitions, want openstack.Definitions) error {
		if found != nil {
			if found.Equal(want) {
				return nil
			}
			if err := glance.RemoveDefinitions(ctx, want.Namespace); err != nil {
				return err
			}
			d.replaced = append(d.replaced, *found)
		}
		if err := d.record().Amend(func(r *record.Record) { d.recorded = d.recorded || !r.Definitions; r.Definitions = true }); err != nil {
			return err
		}
		if err := glance.AddDefinitions(ctx, want); err != nil {
			return err
		}
		d.added = append(d.added, want.Namespace)
		return nil
	})
	if openstack.Refused(err) {
		if _, err := d.Rollback(ctx); err != nil {
			return err
		}
		return &node.Unchecked{Why: "only an administrator may add metadata definitions"}
	}
	return err
}

// Rollback removes what this run has added, and puts back what that replaced.
func (d *definitions) Rollback(ctx context.Context) ([]string, error) {
	if !d.recorded && len(d.added)+len(d.replaced) == 0 {
		return nil, nil
	}
	glance, err := d.Glance(ctx)
	for _, name := range d.added {
		if err == nil {
			err = glance.RemoveDefinitions(ctx, name)
		}
	}
	for _, old := range d.replaced {
		if err == nil {
			err = glance.AddDefinitions(ctx, old)
		}
	}
	if err == nil && d.recorded {
		err = d.record().Amend(func(r *record.Record) { r.Definitions = false })
	}
	d.added, d.replaced, d.recorded = nil, nil, false
	return []string{"put back Glance's metadata definitions as they were"}, err
}

// Teardown removes the namespaces if setup added them from this machine. Without credentials it says what is left.
func (d *definitions) Teardown(ctx context.Context) ([]string, error) {
	recorded, err := d.record().Read()
	if err != nil || !recorded.Definitions {
		return nil, err
	}
	removed, err := d.removeAll(ctx)
	if err != nil {
		return []string{fmt.Sprintf("left metadata definitions in Glance, on which nothing depends: %v; run 'ndock node teardown --role controller' again when an administrator's credentials are there", err)}, nil
	}
	if err := d.record().Amend(func(r *record.Record) { r.Definitions = false }); err != nil || len(removed) == 0 {
		return nil, err
	}
	return []string{"removed " + strings.Join(removed, " and ") + " from Glance's metadata definitions"}, nil
}

func (d *definitions) removeAll(ctx context.Context) (removed []string, err error) {
	err = d.each(ctx, func(glance Definitions, found *openstack.Definitions, want openstack.Definitions) error {
		if found == nil {
			return nil
		}
		removed = append(removed, want.Namespace)
		return glance.RemoveDefinitions(ctx, want.Namespace)
	})
	return removed, err
}

func (d *definitions) Detail(context.Context) (string, error) {
	return "Glance has the metadata definitions of Docker flavors and images", nil
}
