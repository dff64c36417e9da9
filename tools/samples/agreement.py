"""The supply agreement: a Word document with two levels of headings, lists and tables."""

import datetime
import io
import zipfile

from docx import Document
from docx.shared import Pt

FIXED = datetime.datetime(2026, 1, 15, 9, 0, 0)


def build():
    document = Document()
    document.styles["Normal"].font.name = "Calibri"
    document.styles["Normal"].font.size = Pt(11)
    core = document.core_properties
    core.title = "Supply Agreement: Pitch and Yaw Bearings"
    core.author = "Northwind Turbines"
    core.last_modified_by = "Northwind Turbines"
    core.created = core.modified = FIXED
    core.comments = ""

    document.add_heading("Supply Agreement: Pitch and Yaw Bearings", 0)
    document.add_paragraph(
        "Between Northwind Turbines A/S, Esbjerg (the Buyer), and Kestrel Bearings GmbH, "
        "Schweinfurt (the Supplier). Signed on 15 January 2026, contract number NW-2026-014."
    )

    document.add_heading("Scope and term", 1)
    document.add_heading("Goods", 2)
    document.add_paragraph(
        "The Supplier delivers pitch bearings and yaw bearings for the NT-3 turbine, made to the "
        "Buyer's drawings, with a material certificate for every ring."
    )
    document.add_heading("Term", 2)
    document.add_paragraph(
        "The agreement runs for three years from the day of signature. It continues for one year "
        "at a time unless a party ends it in writing six months before the year is over."
    )
    document.add_heading("Forecast", 2)
    document.add_paragraph(
        "The Buyer sends a rolling forecast on the first working day of each quarter. The first "
        "three months of a forecast bind the Buyer to 80 percent of the quantity; the rest is "
        "for planning alone."
    )

    document.add_heading("Prices and payment", 1)
    document.add_heading("Price list", 2)
    table = document.add_table(rows=1, cols=4)
    table.style = "Table Grid"
    for cell, text in zip(
        table.rows[0].cells, ["Part", "Drawing", "Price each", "Lead time"], strict=True
    ):
        cell.text = text
    for row in [
        ("Pitch bearing, outer diameter 2,150 mm", "NT3-D-3301", "EUR 11,480", "14 weeks"),
        ("Yaw bearing, outer diameter 2,860 mm", "NT3-D-3402", "EUR 19,750", "18 weeks"),
        ("Seal set for pitch bearing", "NT3-D-3315", "EUR 640", "4 weeks"),
    ]:
        for cell, text in zip(table.add_row().cells, row, strict=True):
            cell.text = text
    document.add_heading("Price changes", 2)
    document.add_paragraph(
        "Prices are fixed for the first twelve months. After that they follow the published "
        "index for forged steel rings, once a year, and never by more than 4 percent in a year."
    )
    document.add_heading("Payment", 2)
    document.add_paragraph(
        "Invoices are paid within 45 days of receipt. For payment within 10 days the Buyer "
        "deducts 2 percent."
    )

    document.add_heading("Delivery", 1)
    document.add_heading("Place of delivery", 2)
    document.add_paragraph(
        "Delivery is to the Buyer's warehouse in Esbjerg, gate 3, on weekdays between 07:00 and "
        "15:00. Transport and insurance are at the Supplier's cost."
    )
    document.add_heading("Late delivery", 2)
    document.add_paragraph(
        "For every full week of delay the Supplier pays 1.5 percent of the value of the late "
        "goods, up to 9 percent. When the limit is reached, the Buyer may cancel the order and "
        "buy elsewhere at the Supplier's cost."
    )
    document.add_heading("Emergency stock", 2)
    document.add_paragraph(
        "The Supplier keeps two pitch bearings and one yaw bearing ready for shipment within 24 "
        "hours. The Buyer pays a fee of EUR 1,900 per quarter for this stock."
    )

    document.add_heading("Quality and warranty", 1)
    document.add_heading("Acceptance", 2)
    document.add_paragraph("The Buyer inspects incoming goods within ten working days:")
    for item in [
        "raceway hardness between 55 and 60 HRC, measured at four points",
        "axial clearance no greater than 0.15 mm",
        "surface free of visible corrosion and dents",
    ]:
        document.add_paragraph(item, style="List Bullet")
    document.add_heading("Warranty", 2)
    document.add_paragraph(
        "The warranty lasts 60 months from installation and no longer than 72 months from "
        "delivery. It covers the bearing, the crane and the crew for its exchange, but not the "
        "energy that was not produced."
    )
    document.add_heading("Recall", 2)
    document.add_paragraph(
        "If three bearings of one batch fail within two years, the Supplier exchanges the whole "
        "batch, whether the other bearings have failed or not."
    )

    document.add_heading("Liability and ending", 1)
    document.add_heading("Liability", 2)
    document.add_paragraph(
        "Liability is limited to EUR 2.5 million per calendar year. The limit does not hold for "
        "injury to people or for intent."
    )
    document.add_heading("Ending for cause", 2)
    document.add_paragraph(
        "Either party may end the agreement at once if the other is insolvent, or if a serious "
        "breach is not cured within 30 days of a written warning."
    )
    document.add_heading("Law and place", 2)
    document.add_paragraph(
        "The agreement is under Danish law. Disputes go to arbitration in Copenhagen, in English, "
        "before three arbitrators."
    )
    return document


def write(path):
    raw = io.BytesIO()
    build().save(raw)
    # The library stamps each entry with the clock. The same entries with one fixed time make
    # the same bytes on every run.
    with zipfile.ZipFile(raw) as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            entry = zipfile.ZipInfo(name, date_time=FIXED.timetuple()[:6])
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            entry.create_system = 3
            target.writestr(entry, source.read(name), compresslevel=9)
