package steps

import (
	"context"
	"fmt"
	"strings"

	"ndock/openstack/node"
)

// orphans is the step that removes what no server uses any more, as the agent does from time to time.
type orphans struct {
	Machine
	service *novaCompute
	undone  bool // this run is a teardown
}

func (o *orphans) Title() string { return "orphans" }

func (o *orphans) Plan(ctx context.Context) ([]string, error) {
	sure, _, err := o.Orphans.Orphans(ctx)
	if err != nil {
		return nil, &node.Unchecked{Why: err.Error()}
	}
	for i, orphan := range sure {
		sure[i] = "remove " + orphan
	}
	return sure, nil
}

// Do does not fail: the agent tries again later, and the node works all the same.
func (o *orphans) Do(ctx context.Context) error {
	if err := o.Orphans.Remove(ctx); err != nil {
		return &node.Unchecked{Why: err.Error()}
	}
	return nil
}

// Rollback has nothing to do.
func (o *orphans) Rollback(context.Context) ([]string, error) { return nil, nil }

// Teardown has nothing to do yet: nova-compute could still fetch images. See Settle.
func (o *orphans) Teardown(context.Context) ([]string, error) {
	o.undone = true
	return nil, nil
}

// After returns what novaCompute waits for, too, which settles first.
func (o *orphans) After() []node.Step { return o.service.files }

// Settle removes Glance's images, which nobody needs without servers. As long as an engine has images, it keeps settings
// without which it would not find them.
func (o *orphans) Settle(ctx context.Context) ([]string, error) {
	if !o.undone || !o.Layout.HasEngine() {
		return nil, nil
	}
	removed, err := o.Orphans.RemoveImages(ctx)
	var texts []string
	if removed > 0 {
		texts = append(texts, fmt.Sprintf("removed %d of Glance's images from Docker Engine", removed))
	}
	if err != nil {
		texts = append(texts, fmt.Sprintf("left Glance's images (ndock/glance) in Docker Engine: %v", err))
	}
	return texts, nil
}

func (o *orphans) Detail(ctx context.Context) (string, error) {
	switch _, unsure, err := o.Orphans.Orphans(ctx); {
	case err != nil:
		return "", err
	case len(unsure) > 0:
		return "left alone, as they may be of use: " + strings.Join(unsure, ", "), nil
	}
	return "none", nil
}
