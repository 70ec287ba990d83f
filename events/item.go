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
	Title        *string `json:"title,omitzero"`
	Type         *int32  `json:"type,omitzero"`
	Price        *Price  `json:"price,omitzero"`
	ImgURL       *string `json:"imgurl,omitzero"`
	Depreciation *int32  `json:"depreciation,omitzero"`
	Note         *string `json:"note,omitzero"`
	Sold         *Sold   `json:"sold,omitzero"` // a deal closed, or opened again, elsewhere
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
