package openstack

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/images"
)

// CollectOptions say which layers are removed that no image of the project needs.
type CollectOptions struct {
	ListReader
	Age     time.Duration // of a layer before it is condemned, and of its condemnation before it is deleted
	Now     time.Time
	DryRun  bool
	Without []Image // which count as deleted, in a dry run
}

// CollectAction is what is done with a layer.
type CollectAction string

// The actions.
const (
	CollectCondemn CollectAction = "condemn" // rename it, so that no push finds it
	CollectDelete  CollectAction = "delete"
)

// Collected is a layer, and what was done with it.
type Collected struct {
	Image
	Action CollectAction
}

// CollectLayers removes layers that no image of the project needs, in two steps that are at least Age apart: one run condemns
// a layer by another name, a later one deletes it. It returns what it did, or with DryRun would do, and an error that joins
// what failed. It changes nothing where an image of the project cannot be read.
//
// No image whose push has succeeded loses a layer. A push makes its archive readable, and then looks for all its layers by
// their names; a collector sees a layer condemned, and then reads all archives. So either the push finds that the layer is
// gone, and begins anew, or the collector finds the archive. Nobody takes a condemned layer back by name, or a collector
// that has read before, and was slow, would delete it: what is condemned and needed stays as it is, boots find it, and the
// next push stores the layer again. Of layers with one digest, one is deleted only if another was seen that is not
// condemned, and so will be condemned later: the last is never deleted for that. Nothing of this needs a clock, so it may be
// killed anywhere and run twice at once. Age spares pushes under way, and covers replicas of Glance's database that lag.
//
// What users have changed by hand is theirs: a layer that is shown, shared, published, renamed or protected stays. So does
// all that belongs to other projects, whatever its name.
func (c *Cloud) CollectLayers(ctx context.Context, o CollectOptions) ([]Collected, error) {
	found, err := c.projectImages(ctx)
	if err != nil {
		return nil, err
	}
	if !o.hasCandidates(found.layers) {
		return nil, nil
	}
	named := referencesTo(found.layers)
	if err := c.eachList(ctx, without(found.archives, o.Without), o.ListReader, named.see); err != nil {
		return nil, err
	}
	plan := o.plan(found.layers, named)
	if o.DryRun {
		return plan, nil
	}
	return c.collect(ctx, plan)
}

func without(all, gone []Image) []Image {
	ids := map[string]bool{}
	for _, image := range gone {
		ids[image.ID] = true
	}
	var left []Image
	for _, image := range all {
		if !ids[image.ID] {
			left = append(left, image)
		}
	}
	return left
}

// references tell of some layers whether archives list them. Others are not kept, however many are listed.
type references struct{ digests, hints map[string]bool }

// referencesTo are about these layers, which no archive has listed yet.
func referencesTo(layers []Image) references {
	r := references{map[string]bool{}, map[string]bool{}}
	for _, layer := range layers {
		r.digests[layer.LayerName()], r.hints[layer.ID] = false, false
	}
	return r
}

// see takes in what an archive lists.
func (r references) see(_ Image, listed []ListedLayer) error {
	for _, layer := range listed {
		mark(r.digests, layer.Digest)
		mark(r.hints, layer.Image)
	}
	return nil
}

func mark(wanted map[string]bool, name string) {
	if _, ok := wanted[name]; ok {
		wanted[name] = true
	}
}

// plan decides about each layer.
func (o CollectOptions) plan(layers []Image, r references) []Collected {
	kept := r.kept(layers)
	var plan []Collected
	for _, layer := range layers {
		switch {
		case !o.isCandidate(layer):
		case !layer.isCondemned():
			if kept[layer.Name] != layer.ID && !(layer.isWhole() && r.hints[layer.ID]) {
				plan = append(plan, Collected{layer, CollectCondemn})
			}
		case !r.needs(layer) || kept[layer.LayerName()] != "":
			plan = append(plan, Collected{layer, CollectDelete})
		}
	}
	return plan
}

// kept returns a whole layer for each digest that is needed: one that an archive hints at, or else the oldest.
func (r references) kept(layers []Image) map[string]string {
	kept := map[string]string{}
	for _, layer := range layers {
		if !layer.isWhole() || !r.needs(layer) {
			continue
		}
		if has := kept[layer.Name]; has == "" || r.hints[layer.ID] && !r.hints[has] {
			kept[layer.Name] = layer.ID
		}
	}
	return kept
}

// needs tells whether an archive names the layer. One without bytes helps nobody.
func (r references) needs(layer Image) bool {
	return layer.Status == "active" && (r.digests[layer.LayerName()] || r.hints[layer.ID])
}

func (o CollectOptions) hasCandidates(layers []Image) bool {
	for _, layer := range layers {
		if o.isCandidate(layer) {
			return true
		}
	}
	return false
}

// isCandidate reports whether a layer may be condemned or deleted now. Whoever deactivates one wants to look at it.
func (o CollectOptions) isCandidate(layer Image) bool {
	since := layer.Created
	if layer.isCondemned() {
		since = layer.Updated
	}
	return layer.Hidden && layer.Visibility == "private" && !layer.Protected && (layer.Status == "active" || !layer.hasBytes()) &&
		!since.IsZero() && o.Now.Sub(since) >= o.Age
}

// collect does as much of the plan as it can. An interruption ends it.
func (c *Cloud) collect(ctx context.Context, plan []Collected) ([]Collected, error) {
	var done []Collected
	var failed []error
	for _, one := range plan {
		err := c.carryOut(ctx, one)
		switch {
		case err == nil:
			done = append(done, one)
		case gophercloud.ResponseCodeIs(err, http.StatusNotFound), gophercloud.ResponseCodeIs(err, http.StatusConflict) && one.Action == CollectCondemn:
			// it is deleted, or is no upload any more
		default:
			failed = append(failed, explain(fmt.Sprintf("%s layer %q (%s)", one.Action, one.Name, one.ID), err))
		}
		if ctx.Err() != nil {
			break
		}
	}
	return done, errors.Join(failed...)
}

func (c *Cloud) carryOut(ctx context.Context, one Collected) error {
	client, err := c.glance()
	switch {
	case err != nil:
		return err
	case one.Action == CollectDelete:
		return images.Delete(ctx, client, one.ID).ExtractErr()
	case one.isUpload():
		return one.condemnUpload(ctx, client)
	}
	_, err = images.Update(ctx, client, one.ID, images.UpdateOpts{images.ReplaceImageName{NewName: condemnedPrefix + one.Name}}).Extract()
	return err
}

// abandoned is the diff id of an upload that is condemned.
const abandoned = "abandoned"

// condemnUpload condemns an upload, unless its push goes on after all. The push replaces propertyLayer and adds
// propertyLayerDiffID when it gives the layer its name; here the one is removed and the other added. Glance refuses to
// replace what is not there, and, in this form of a patch, to add what is: so only one of the two succeeds.
func (i Image) condemnUpload(ctx context.Context, client *gophercloud.ServiceClient) error {
	changes := []map[string]string{
		{"add": "/" + propertyLayerDiffID, "value": abandoned},
		{"remove": "/" + propertyLayer},
		{"replace": "/name", "value": condemnedPrefix + i.Name},
	}
	_, err := client.Patch(ctx, client.ServiceURL("images", i.ID), changes, nil, &gophercloud.RequestOpts{
		OkCodes: []int{http.StatusOK}, MoreHeaders: map[string]string{"Content-Type": "application/openstack-images-v2.0-json-patch"},
	})
	return err
}

// ErrNeeded is the error about a layer that an image of the project needs.
var ErrNeeded = errors.New("an image of the project needs it")

// Limits of what is read to condemn a layer, which anybody may ask a registry for.
const (
	mostRead     = 1000             // archives
	readWithin   = 2 * time.Minute  // all of them
	repairWithin = 30 * time.Minute // a layer that a push has found meanwhile
)

// CondemnLayer condemns what the project has of a layer, so that no push finds it. A later CollectLayers deletes it. The error
// is ErrNeeded, and the layer stays, if an image of the project needs it.
//
// Archives are read before, and those that have come meanwhile afterwards: a push that has found the layer has made its
// archive readable before. Then the layer is stored again, as the condemned one may be deleted at any time. If that fails,
// servers boot from the image all the same, and the next push of it stores the layer.
func (c *Cloud) CondemnLayer(ctx context.Context, digest string, reader ListReader) error {
	op := fmt.Sprintf("delete layer %s", digest)
	layers, err := c.wholeLayers(ctx, []string{digest})
	if err != nil {
		return err
	}
	if err := condemnable(op, layers); err != nil {
		return err
	}
	read := map[string]bool{}
	if err := c.checkUnneeded(ctx, op, layers, reader, read); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), repairWithin)
	defer cancel()
	for _, layer := range layers {
		err := c.carryOut(ctx, Collected{layer, CollectCondemn})
		if err != nil && !gophercloud.ResponseCodeIs(err, http.StatusNotFound) {
			return explain(op, err)
		}
	}
	needed := c.checkUnneeded(ctx, op, layers, reader, read)
	if errors.Is(needed, ErrNeeded) {
		return errors.Join(needed, c.sendAnew(ctx, layers[0]))
	}
	return needed
}

// condemnable returns why layers are left alone: there are none, or a user has changed one by hand.
func condemnable(op string, layers []Image) error {
	if len(layers) == 0 {
		return &Error{Op: op, Status: http.StatusNotFound, Err: errors.New("it is not in Glance")}
	}
	for _, layer := range layers {
		if layer.Protected || layer.Visibility != "private" {
			return &Error{Op: op, Status: http.StatusForbidden, Err: fmt.Errorf("image %s is protected, or others may see it", layer.ID)}
		}
	}
	return nil
}

// checkUnneeded reads the archives of the project that were not read yet. It returns ErrNeeded if one names a layer of these,
// which have one digest.
func (c *Cloud) checkUnneeded(ctx context.Context, op string, layers []Image, reader ListReader, read map[string]bool) error {
	ctx, cancel := context.WithTimeout(ctx, readWithin)
	defer cancel()
	var fresh []Image
	for range 2 { // an image that is hidden while one lists is in the second
		all, err := c.ownActiveOf(ctx, op, manifestFilters()...)
		if err != nil {
			return err
		}
		for id, image := range all {
			if image.Layered && !image.isLayer() && !read[id] {
				read[id] = true
				fresh = append(fresh, image)
			}
		}
	}
	if len(fresh) > mostRead {
		return &Error{Op: op, Err: fmt.Errorf("%w for this: more than %d", ErrTooMany, mostRead), hint: "'ndock image gc' removes the layers that no image needs"}
	}
	named := referencesTo(layers)
	return c.eachList(ctx, fresh, reader, func(image Image, listed []ListedLayer) error {
		if err := named.see(image, listed); err != nil || !slices.ContainsFunc(layers, named.needs) {
			return err
		}
		return &Error{Op: op, Err: ErrNeeded}
	})
}

// sendAnew stores a layer again that was condemned.
func (c *Cloud) sendAnew(ctx context.Context, layer Image) error {
	content, err := c.OpenImage(ctx, layer.ID, 1)
	if err != nil {
		return err
	}
	defer content.Close()
	_, err = c.SendLayer(ctx, LayerUpload{Of: "the project", Content: content, Found: func() (StoredLayer, error) { return layer.layer(), nil }})
	return err
}
