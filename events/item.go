package events

// ItemPublished: Owner offers a thing (Sold is ForSale) or looks for one (Wanted).
type ItemPublished struct {
	Item         ItemID `json:"item"`
	Owner        UserID `json:"owner"`
	Title        string `json:"title"`
	Type         int32  `json:"type"`
	Price        Price  `json:"price"`
	ImgURL       string `json:"imgurl"`
	Depreciation int32  `json:"depreciation"`
	Note         string `json:"note"`
	Sold         Sold   `json:"sold"`
}

// ItemModified: the owner wrote these fields anew; nil ones stay as they were.
type ItemModified struct {
	Item         ItemID  `json:"item"`
	Title        *string `json:"title,omitempty"`
	Type         *int32  `json:"type,omitempty"`
	Price        *Price  `json:"price,omitempty"`
	ImgURL       *string `json:"imgurl,omitempty"`
	Depreciation *int32  `json:"depreciation,omitempty"`
	Note         *string `json:"note,omitempty"`
	Sold         *Sold   `json:"sold,omitempty"` // a deal closed, or opened again, elsewhere
}

// ItemTraded: Buyer took the offer, or met the want; Sold is SoldOut or Obtained accordingly.
type ItemTraded struct {
	Item  ItemID `json:"item"`
	Buyer UserID `json:"buyer"`
	Sold  Sold   `json:"sold"`
}

// Stream is the item's.
func (e ItemPublished) Stream() string { return e.Item.Stream() }

// Stream is the item's.
func (e ItemModified) Stream() string { return e.Item.Stream() }

// Stream is the item's.
func (e ItemTraded) Stream() string { return e.Item.Stream() }
