// Package glancetest is a Keystone and a Glance in memory, for tests of a registry in Glance.
package glancetest

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"ndock/registry/glance"
)

// Glance has the images of all projects. Its hooks make it fail, or lie.
type Glance struct {
	lock    sync.Mutex
	made    int
	layers  map[string]map[digest.Digest]record // by project
	images  map[string][]record                 // the newest last
	open    int                                 // layers that are being sent
	queries map[string]int

	// Fail returns the error of a call of Project, by its name and the project; nil for none.
	Fail func(call, project string) error
	// Bytes replaces the bytes that Open gives of a blob.
	Bytes func(blob glance.Blob, stored []byte) io.ReadCloser
	// Inside replaces what Contents says.
	Inside func(image glance.Image, stored []glance.Blob) []glance.Blob
	// Slow is called before a layer that is whole is kept.
	Slow func(ctx context.Context)
	// StoreGone has Store find that layers are gone.
	StoreGone bool
}

// record is an image in Glance.
type record struct {
	glance.Image
	content []byte
	blobs   []glance.Blob
	layers  []digest.Digest // that are left out
	stored  glance.Manifest
}

// New returns an empty Glance.
func New() *Glance {
	return &Glance{layers: map[string]map[digest.Digest]record{}, images: map[string][]record{}, queries: map[string]int{}}
}

// Open is a glance.Opener.
func (g *Glance) Open(_ context.Context, login *glance.Login) (glance.Project, error) {
	return &project{Glance: g, login: login}, nil
}

// Queries returns how often a call was made.
func (g *Glance) Queries(call string) int {
	g.lock.Lock()
	defer g.lock.Unlock()
	return g.queries[call]
}

// Sending returns how many layers are being sent.
func (g *Glance) Sending() int {
	g.lock.Lock()
	defer g.lock.Unlock()
	return g.open
}

// Layers returns the digests of a project's layers.
func (g *Glance) Layers(project string) []digest.Digest {
	g.lock.Lock()
	defer g.lock.Unlock()
	var all []digest.Digest
	for d := range g.layers[project] {
		all = append(all, d)
	}
	slices.Sort(all)
	return all
}

// Images returns what a project's images were made of, the oldest first.
func (g *Glance) Images(project string) []glance.Manifest {
	g.lock.Lock()
	defer g.lock.Unlock()
	var all []glance.Manifest
	for _, one := range g.images[project] {
		all = append(all, one.stored)
	}
	return all
}

// DropLayer removes a layer, as its owner may do by hand.
func (g *Glance) DropLayer(project string, d digest.Digest) {
	g.lock.Lock()
	defer g.lock.Unlock()
	delete(g.layers[project], d)
}

// DropImages removes all images of a project but its layers.
func (g *Glance) DropImages(project string) {
	g.lock.Lock()
	defer g.lock.Unlock()
	delete(g.images, project)
}

type project struct {
	*Glance
	login *glance.Login
}

// begin counts a call, and locks what it works on. Done unlocks it.
func (p *project) begin(ctx context.Context, call string) (done func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if p.login.Token().ID == "" {
		return nil, &glance.Refused{Kind: glance.LoginExpired, Reason: fmt.Errorf("Glance takes no empty token")}
	}
	if p.Fail != nil {
		if err := p.Fail(call, p.ID()); err != nil {
			return nil, err
		}
	}
	p.lock.Lock()
	p.queries[call]++
	return p.lock.Unlock, nil
}

func (p *project) ID() string { return p.login.Token().ProjectID }

func (p *project) id() string {
	p.made++
	return fmt.Sprintf("image-%d", p.made)
}

func (p *project) Layers(ctx context.Context, blobs []digest.Digest) (map[digest.Digest]glance.Blob, error) {
	done, err := p.begin(ctx, "Layers")
	if err != nil {
		return nil, err
	}
	defer done()
	found := map[digest.Digest]glance.Blob{}
	for _, d := range blobs {
		if one, ok := p.layers[p.ID()][d]; ok {
			found[d] = one.blobs[0]
		}
	}
	return found, nil
}

func (p *project) Memory([]byte) int64 { return 1 << 20 }

func (p *project) SendLayer(ctx context.Context, content io.Reader, complete func() (digest.Digest, error)) (glance.Blob, error) {
	done, err := p.begin(ctx, "SendLayer")
	if err != nil {
		return glance.Blob{}, err
	}
	p.open++
	done()
	defer func() {
		p.lock.Lock()
		p.open--
		p.lock.Unlock()
	}()
	all, err := io.ReadAll(content)
	if err != nil {
		return glance.Blob{}, err
	}
	d, err := complete()
	if err != nil {
		return glance.Blob{}, err
	}
	if p.Slow != nil {
		p.Slow(ctx)
	}
	if done, err = p.begin(ctx, "NameLayer"); err != nil {
		return glance.Blob{}, err
	}
	defer done()
	if p.layers[p.ID()] == nil {
		p.layers[p.ID()] = map[digest.Digest]record{}
	}
	if known, ok := p.layers[p.ID()][d]; ok {
		return known.blobs[0], nil
	}
	blob := glance.Blob{Digest: d, Size: int64(len(all)), Image: p.id()}
	p.layers[p.ID()][d] = record{content: all, blobs: []glance.Blob{blob}}
	return blob, nil
}

func (p *project) Condemn(ctx context.Context, d digest.Digest) error {
	done, err := p.begin(ctx, "Condemn")
	if err != nil {
		return err
	}
	defer done()
	if _, ok := p.layers[p.ID()][d]; !ok {
		return glance.ErrNotFound
	}
	for _, one := range p.images[p.ID()] {
		if slices.Contains(one.layers, d) {
			return glance.ErrNeeded
		}
	}
	delete(p.layers[p.ID()], d)
	return nil
}

func (p *project) Open(ctx context.Context, blob glance.Blob, offset int64) (io.ReadCloser, error) {
	done, err := p.begin(ctx, "Open")
	if err != nil {
		return nil, err
	}
	defer done()
	content := p.find(blob.Image)
	if content == nil {
		return nil, glance.ErrNotFound
	}
	stored := content[blob.Offset : blob.Offset+blob.Size][offset:]
	if p.Bytes != nil {
		return p.Bytes(blob, stored), nil
	}
	return io.NopCloser(bytes.NewReader(stored)), nil
}

// find returns the bytes of an image that the user may read.
func (p *project) find(id string) []byte {
	for _, one := range p.layers[p.ID()] {
		if one.blobs[0].Image == id {
			return one.content
		}
	}
	for _, one := range p.images[p.ID()] {
		if one.ID == id {
			return one.content
		}
	}
	return nil
}

func (p *project) Images(ctx context.Context, repository string) ([]glance.Image, error) {
	done, err := p.begin(ctx, "Images")
	if err != nil {
		return nil, err
	}
	defer done()
	var all []glance.Image
	for _, one := range slices.Backward(p.images[p.ID()]) {
		if repository == "" || one.Repository == repository {
			all = append(all, one.Image)
		}
	}
	return all, nil
}

func (p *project) Tagged(ctx context.Context, repository, tag string) (glance.Image, error) {
	return p.one(ctx, "Tagged", func(i glance.Image) bool { return i.Repository == repository && tag != "" && i.Tag == tag })
}

func (p *project) WithDigest(ctx context.Context, repository string, d digest.Digest) (glance.Image, error) {
	return p.one(ctx, "WithDigest", func(i glance.Image) bool { return i.Repository == repository && i.Digest == d })
}

// Referrers implements glance.Project.
func (p *project) Referrers(ctx context.Context, repository string, subject digest.Digest) ([]glance.Image, error) {
	done, err := p.begin(ctx, "Referrers")
	if err != nil {
		return nil, err
	}
	defer done()
	var all []glance.Image
	for _, one := range slices.Backward(p.images[p.ID()]) {
		if one.Repository == repository && one.stored.Subject == subject {
			all = append(all, one.Image)
		}
	}
	return all, nil
}

func (p *project) one(ctx context.Context, call string, wanted func(glance.Image) bool) (glance.Image, error) {
	done, err := p.begin(ctx, call)
	if err != nil {
		return glance.Image{}, err
	}
	defer done()
	var found []glance.Image
	for _, one := range slices.Backward(p.images[p.ID()]) {
		if wanted(one.Image) {
			found = append(found, one.Image)
		}
	}
	if len(found) == 0 {
		return glance.Image{}, glance.ErrNotFound
	}
	return slices.MaxFunc(found, func(a, b glance.Image) int { return cmp.Compare(min(1, len(a.Tag)), min(1, len(b.Tag))) }), nil
}

func (p *project) Contents(ctx context.Context, image glance.Image) ([]glance.Blob, error) {
	done, err := p.begin(ctx, "Contents")
	if err != nil {
		return nil, err
	}
	defer done()
	for _, one := range p.images[p.ID()] {
		if one.ID == image.ID {
			if p.Inside != nil {
				return p.Inside(image, one.blobs), nil
			}
			return one.blobs, nil
		}
	}
	return nil, glance.ErrNotFound
}

func (p *project) Store(ctx context.Context, manifest glance.Manifest) (glance.Image, error) {
	done, err := p.begin(ctx, "Store")
	if err != nil {
		return glance.Image{}, err
	}
	defer done()
	made := record{
		Image:  glance.Image{ID: p.id(), Repository: manifest.Repository, Tag: manifest.Tag, Digest: manifest.Descriptor.Digest, Created: time.Now()},
		stored: manifest,
	}
	made.add(manifest)
	if p.StoreGone {
		return glance.Image{}, glance.ErrBlobsGone
	}
	for _, d := range made.layers {
		if _, ok := p.layers[p.ID()][d]; !ok {
			return glance.Image{}, glance.ErrBlobsGone
		}
	}
	all := p.images[p.ID()]
	for i := range all {
		if manifest.Tag != "" && all[i].Repository == manifest.Repository && all[i].Tag == manifest.Tag {
			all[i].Tag = ""
		}
	}
	p.images[p.ID()] = append(all, made)
	return made.Image, nil
}

// add puts a manifest and what is below it into the image's bytes.
func (r *record) add(m glance.Manifest) {
	r.put(m.Payload)
	for _, part := range m.Parts {
		if part.Content == nil {
			r.layers = append(r.layers, part.Descriptor.Digest)
			continue
		}
		r.put(part.Content)
	}
	for _, one := range m.Manifests {
		r.add(one)
	}
}

func (r *record) put(content []byte) {
	r.blobs = append(r.blobs, glance.Blob{Digest: digest.FromBytes(content), Size: int64(len(content)), Image: r.ID, Offset: int64(len(r.content))})
	r.content = append(r.content, content...)
}

func (p *project) Untag(ctx context.Context, image glance.Image) error {
	return p.change(ctx, "Untag", image, func(all []record, i int) []record {
		all[i].Tag = ""
		return all
	})
}

func (p *project) Delete(ctx context.Context, image glance.Image) error {
	return p.change(ctx, "Delete", image, func(all []record, i int) []record { return slices.Delete(all, i, i+1) })
}

func (p *project) change(ctx context.Context, call string, image glance.Image, to func([]record, int) []record) error {
	done, err := p.begin(ctx, call)
	if err != nil {
		return err
	}
	defer done()
	all := p.images[p.ID()]
	i := slices.IndexFunc(all, func(one record) bool { return one.ID == image.ID })
	if i < 0 {
		return glance.ErrNotFound
	}
	p.images[p.ID()] = to(all, i)
	return nil
}
