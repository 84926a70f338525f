package fakecloud

import (
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

const noImage = "No image found with ID %s"

func (c *Cloud) glance(mux *http.ServeMux) {
	c.metadefs(mux)
	mux.HandleFunc("GET /image/{$}", versions("v2.15"))
	mux.HandleFunc("GET /image/v2/schemas/image", c.authenticated(c.schema))
	mux.HandleFunc("GET /image/v2/info/usage", c.authenticated(c.usage))
	mux.HandleFunc("GET /image/v2/images", c.authenticated(c.listImages))
	mux.HandleFunc("GET /image/v2/images/{id}", c.authenticated(c.there(Image, noImage, refuseHTML, func(w http.ResponseWriter, _ *http.Request, image Object) {
		answer(w, http.StatusOK, image)
	})))
	mux.HandleFunc("POST /image/v2/images", c.authenticated(c.createImage))
	mux.HandleFunc("DELETE /image/v2/images/{id}", c.authenticated(c.there(Image, noImage, refuseHTML, c.deleteImage)))
	mux.HandleFunc("PATCH /image/v2/images/{id}", c.authenticated(c.there(Image, noImage, refuseHTML, c.patchImage)))
	mux.HandleFunc("PUT /image/v2/images/{id}/file", c.upload)
	mux.HandleFunc("GET /image/v2/images/{id}/file", c.authenticated(c.there(Image, noImage, refuseHTML, c.download)))
}

func (c *Cloud) schema(w http.ResponseWriter, _ *http.Request, _ string) {
	containers := []any{nil, "bare", "ovf"}
	if !c.faults[DockerRefused] {
		containers = append(containers, "docker")
	}
	answer(w, http.StatusOK, Object{"name": "image", "properties": Object{
		"container_format": Object{"enum": containers}, "disk_format": Object{"enum": []any{nil, "raw", "qcow2"}},
	}})
}

func (c *Cloud) usage(w http.ResponseWriter, _ *http.Request, _ string) {
	quotas := Object{}
	if c.faults[SizeLimited] {
		quotas["image_size_total"] = Object{"usage": 7, "limit": 1000}
	}
	answer(w, http.StatusOK, Object{"usage": quotas})
}

// listImages gives two images a page, and hidden ones only to who asks for these. As in Glance, what stands before a colon in a name to look for is an operator.
func (c *Cloud) listImages(w http.ResponseWriter, r *http.Request, _ string) {
	query, page := r.URL.Query(), Object{}
	if operator, _, colon := strings.Cut(query.Get("name"), ":"); colon && operator != "in" && operator != "eq" {
		refuseHTML(w, http.StatusBadRequest, fmt.Sprintf("Unable to filter by unknown operator '%s'.", operator))
		return
	}
	hidden := query.Get("os_hidden") == "true"
	asked := maps.Clone(query)
	delete(asked, "os_hidden")
	found, ok := after(sorted(c.objects[Image], query.Get("sort")), query.Get("marker"))
	if !ok {
		refuseHTML(w, http.StatusBadRequest, "Invalid marker. Image could not be found.")
		return
	}
	found = slices.DeleteFunc(found, func(image Object) bool { return image["os_hidden"] == true != hidden || !matches(image, asked) })
	if len(found) > 2 {
		found = found[:2]
		query.Set("marker", found[1].id())
		page["next"] = "/v2/images?" + query.Encode()
	}
	page["images"] = append([]Object{}, found...)
	answer(w, http.StatusOK, page)
}

// sorted returns images in an order, which is that of their creation if not another is known here.
func sorted(all []Object, order string) []Object {
	all = slices.Clone(all)
	switch order {
	case "name:asc":
		slices.SortStableFunc(all, func(a, b Object) int { return strings.Compare(fmt.Sprint(a["name"]), fmt.Sprint(b["name"])) })
	case "name:desc":
		slices.SortStableFunc(all, func(a, b Object) int { return strings.Compare(fmt.Sprint(b["name"]), fmt.Sprint(a["name"])) })
	case "created_at:desc":
		slices.SortStableFunc(all, func(a, b Object) int {
			return strings.Compare(fmt.Sprint(b["created_at"]), fmt.Sprint(a["created_at"]))
		})
	}
	return all
}

// after returns the images behind the marker, whatever it has become meanwhile. One that is deleted is no marker.
func after(all []Object, marker string) ([]Object, bool) {
	at := slices.IndexFunc(all, func(image Object) bool { return image.id() == marker })
	return all[at+1:], at >= 0 || marker == ""
}

func (c *Cloud) createImage(w http.ResponseWriter, r *http.Request, user string) {
	image := Object{}
	if err := json.NewDecoder(r.Body).Decode(&image); err != nil {
		refuseHTML(w, http.StatusBadRequest, err.Error())
		return
	}
	if image["visibility"] == "public" && user != "admin" {
		refuseHTML(w, http.StatusForbidden, "You are not authorized to complete publicize_image action.")
		return
	}
	if name := c.reserved(image); name != "" {
		refuseHTML(w, http.StatusForbidden, fmt.Sprintf("Attribute '%s' is reserved.", name))
		return
	}
	if slices.ContainsFunc(c.objects[Image], func(there Object) bool { return there["id"] == image["id"] }) {
		refuseHTML(w, http.StatusConflict, fmt.Sprintf("Image ID %s already exists!", image["id"]))
		return
	}
	made := c.add(Image, image)
	c.begin(made.id())
	answer(w, http.StatusCreated, made)
}

// reserved returns a property that Glance keeps for others.
func (c *Cloud) reserved(image Object) string {
	for name := range image {
		if c.faults[TraitsReserved] && strings.HasPrefix(name, "trait:") || c.faults[DockerReserved] && strings.HasPrefix(name, "docker_") {
			return name
		}
	}
	return ""
}

func (c *Cloud) deleteImage(w http.ResponseWriter, _ *http.Request, image Object) {
	if image["protected"] == true {
		refuseHTML(w, http.StatusForbidden, fmt.Sprintf("Image %s is protected and cannot be deleted.", image.id()))
		return
	}
	c.remove(Image, image)
	w.WriteHeader(http.StatusNoContent)
}

// patchImage changes properties, as JSON Patch has it; paths have one step. Of two forms that Glance takes, the older is the
// one in which nothing is added that is there.
func (c *Cloud) patchImage(w http.ResponseWriter, r *http.Request, image Object) {
	older := r.Header.Get("Content-Type") == "application/openstack-images-v2.0-json-patch"
	if !older && r.Header.Get("Content-Type") != "application/openstack-images-v2.1-json-patch" {
		refuseHTML(w, http.StatusUnsupportedMediaType, "The request media type is not supported by this server.")
		return
	}
	var changes []map[string]any
	if err := json.NewDecoder(r.Body).Decode(&changes); err != nil {
		refuseHTML(w, http.StatusBadRequest, err.Error())
		return
	}
	changed := maps.Clone(image)
	for _, change := range changes {
		if err := changed.patch(change, older); err != nil {
			refuseHTML(w, http.StatusConflict, "Property "+err.Error()+".")
			return
		}
	}
	clear(image)
	maps.Copy(image, changed)
	image["updated_at"] = c.time()
	answer(w, http.StatusOK, image)
}

func (o Object) patch(change map[string]any, older bool) error {
	op, path := change["op"], change["path"]
	for _, name := range []string{"add", "replace", "remove"} {
		if older && change[name] != nil {
			op, path = name, change[name]
		}
	}
	name := strings.TrimPrefix(fmt.Sprint(path), "/")
	_, there := o[name]
	switch {
	case op == "add" && older && there:
		return fmt.Errorf("%s already present", name)
	case op != "add" && !there && !fields[name]:
		return fmt.Errorf("%s does not exist", name)
	case op == "remove":
		delete(o, name)
	default:
		o[name] = change["value"]
	}
	return nil
}

// fields are those of every image, which need not be set.
var fields = map[string]bool{"min_disk": true, "protected": true}

// download sends an image's bytes, or a part of them.
func (c *Cloud) download(w http.ResponseWriter, r *http.Request, image Object) {
	data := c.data[image.id()]
	if c.faults[DataMissing] {
		refuseHTML(w, http.StatusNotFound, "No image data could be found")
		return
	}
	if c.faults[DownloadHasNoParts] && r.Header.Get("Range") != "" {
		refuseHTML(w, http.StatusBadRequest, "Getting images randomly from this store is not supported.")
		return
	}
	var from int
	if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from); err != nil || c.faults[DownloadIsWhole] {
		if c.faults[DownloadBreaks] && err != nil {
			w.Header().Set("Content-Length", strconv.Itoa(len(data)))
			_, _ = w.Write(data[:len(data)/2])
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
		_, _ = w.Write(data)
		return
	}
	if c.faults[DownloadIsOther] {
		from = 0
	}
	to := len(data) - 1
	if _, end, _ := strings.Cut(r.Header.Get("Range"), "-"); end != "" {
		last, _ := strconv.Atoi(end) // 0 for what is no number
		to = min(to, last)
	}
	if from > to {
		refuseHTML(w, http.StatusRequestedRangeNotSatisfiable, "The byte range passed in the 'Range' header did not match any available byte range in the object file.")
		return
	}
	w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to, len(data)))
	w.WriteHeader(http.StatusPartialContent)
	_, _ = w.Write(data[from : to+1])
}

// uploadRefusals are what Glance says in the middle of an upload, which is when real ones do.
var uploadRefusals = map[Fault]struct {
	status  int
	message string
}{
	UploadTooLarge:    {http.StatusRequestEntityTooLarge, "Image exceeds the storage quota: 0 bytes remaining."},
	UploadFails:       {http.StatusInternalServerError, "The server has either erred or is incapable of performing the requested operation."},
	UploadUnavailable: {http.StatusServiceUnavailable, "Permission to write image storage media denied."},
	UploadFailsOnce:   {http.StatusInternalServerError, "The server has either erred or is incapable of performing the requested operation."},
	UploadTokenEnds:   {http.StatusUnauthorized, "This server could not verify that you are authorized to access the document you requested."},
}

// upload takes an image's bytes; other requests go on meanwhile.
func (c *Cloud) upload(w http.ResponseWriter, r *http.Request) {
	if !c.image(r, "saving") {
		refuseHTML(w, http.StatusNotFound, fmt.Sprintf(noImage, r.PathValue("id")))
		return
	}
	for fault, refusal := range uploadRefusals {
		if c.broken(fault) {
			_, _ = io.CopyN(io.Discard, r.Body, 1000) // whether there are as many does not matter
			c.image(r, "queued")
			refuseEarly(w, r, refusal.status, refusal.message)
			return
		}
	}
	data, err := io.ReadAll(r.Body)
	if c.broken(UploadHangs) {
		<-r.Context().Done()
		return
	}
	if err != nil { // the client broke off
		c.image(r, "queued")
		return
	}
	if c.broken(UploadDamaged) {
		data[len(data)/2]++
	}
	c.mu.Lock()
	c.data[r.PathValue("id")] = data
	c.mu.Unlock()
	if !c.image(r, "active") { // it was deleted meanwhile
		refuseHTML(w, http.StatusGone, fmt.Sprintf(noImage, r.PathValue("id")))
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// refuseEarly answers while the client is still sending, as Glance does; Go's server would first wait for the rest.
func refuseEarly(w http.ResponseWriter, r *http.Request, status int, message string) {
	connection := http.NewResponseController(w)
	_ = connection.EnableFullDuplex() // HTTP/1, as here, has it
	refuseHTML(w, status, message)
	_ = connection.Flush()
	_, _ = io.Copy(io.Discard, r.Body)
}

// image gives an image its status, and the size of what it has. It returns false if there is none.
func (c *Cloud) image(r *http.Request, status string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, image := range c.objects[Image] {
		if image.id() == r.PathValue("id") {
			sum := sha512.Sum512(c.data[image.id()])
			image["status"], image["size"] = status, len(c.data[image.id()])
			image["os_hash_algo"], image["os_hash_value"] = "sha512", hex.EncodeToString(sum[:])
			image["updated_at"] = c.time()
			return true
		}
	}
	return false
}

// broken is for what does not hold the lock. Some things happen once: after a token that ended, the next one is good.
func (c *Cloud) broken(fault Fault) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	broken := c.faults[fault]
	if slices.Contains([]Fault{UploadTokenEnds, UploadFailsOnce, UploadDamaged}, fault) {
		delete(c.faults, fault)
	}
	return broken
}
