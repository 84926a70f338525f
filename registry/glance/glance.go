// Package glance keeps a registry's images in Glance: it is distribution's Namespace over the images of the project that a
// repository is in, PROJECT/REPOSITORY. A manifest becomes an image of Glance with its small blobs in it; each blob that is
// not small is a hidden image of its own. All is done with the token of the user who asks.
package glance
