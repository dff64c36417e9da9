"""The maintenance handbook: a PDF of six pages with one subject per page."""

from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.platypus import (
    PageBreak,
    Paragraph,
    SimpleDocTemplate,
    Spacer,
    Table,
    TableStyle,
)

BODY = ParagraphStyle("body", fontName="Helvetica", fontSize=10.5, leading=15, spaceAfter=7)
TITLE = ParagraphStyle("title", fontName="Helvetica-Bold", fontSize=26, leading=32, spaceAfter=6)
SUBTITLE = ParagraphStyle("subtitle", parent=BODY, fontName="Helvetica-Oblique", spaceAfter=18)
H1 = ParagraphStyle("h1", fontName="Helvetica-Bold", fontSize=18, leading=24, spaceAfter=10)
H2 = ParagraphStyle(
    "h2", fontName="Helvetica-Bold", fontSize=13.5, leading=18, spaceBefore=8, spaceAfter=5
)
CELL = ParagraphStyle("cell", fontName="Helvetica", fontSize=9.5, leading=12.5)
HEAD_CELL = ParagraphStyle("head", parent=CELL, fontName="Helvetica-Bold")


def table(header, rows, widths_mm):
    data = [[Paragraph(c, HEAD_CELL) for c in header]]
    data += [[Paragraph(c, CELL) for c in row] for row in rows]
    built = Table(data, colWidths=[w * mm for w in widths_mm], repeatRows=1, hAlign="LEFT")
    built.setStyle(
        TableStyle(
            [
                ("GRID", (0, 0), (-1, -1), 0.5, colors.HexColor("#8a8f98")),
                ("BACKGROUND", (0, 0), (-1, 0), colors.HexColor("#e6ebf2")),
                ("VALIGN", (0, 0), (-1, -1), "TOP"),
                ("TOPPADDING", (0, 0), (-1, -1), 4),
                ("BOTTOMPADDING", (0, 0), (-1, -1), 4),
            ]
        )
    )
    return built


def story():
    p = lambda text: Paragraph(text, BODY)  # noqa: E731
    h1 = lambda text: Paragraph(text, H1)  # noqa: E731
    h2 = lambda text: Paragraph(text, H2)  # noqa: E731
    gap = Spacer(1, 8)

    return [
        # Page 1
        Paragraph("NT-3 Maintenance Handbook", TITLE),
        Paragraph("Northwind Turbines, field service. Revision 7, valid from 1 March 2026.", SUBTITLE),
        h1("1 About this handbook"),
        p(
            "This handbook is for technicians who service the NT-3, a three-bladed 3.2 MW turbine "
            "with a geared drive train and electric pitch. It covers planned maintenance and the "
            "faults a crew can clear on site. Gearbox exchange, blade exchange and work on the "
            "medium-voltage switchgear are outside it and belong to the heavy-lift team."
        ),
        h2("1.1 Who may work on an NT-3"),
        p(
            "A crew is never smaller than two people. Both hold a valid certificate for work at "
            "height and for rescue from height, renewed every 24 months. The crew leader has "
            "completed at least 40 supervised climbs. A trainee counts as a third person and is "
            "never one of the two."
        ),
        h2("1.2 How to read the figures"),
        p(
            "Torque is given in newton metres for dry, clean threads unless a paste is named. Wind "
            "speed is the ten-minute mean measured at the nacelle. Intervals count from the date "
            "of commissioning, not from the last visit, so that a late visit does not shift the "
            "next one."
        ),
        p(
            "Questions about this handbook go to the technical desk in Esbjerg. A printed copy is "
            "kept in the tower base cabinet; if it disagrees with the electronic copy, the "
            "electronic copy is right."
        ),
        PageBreak(),
        # Page 2
        h1("2 Safety and lock-out"),
        p(
            "No cover is opened and no guard is removed before the lock-out in section 2.2 is "
            "complete. The person who starts a lock-out is the person who lifts it."
        ),
        h2("2.1 Wind limits"),
        table(
            ["Work", "Highest mean wind speed", "What to do above it"],
            [
                ["Climbing the tower", "18 m/s", "Stay at ground level or come down"],
                ["Work inside the nacelle", "15 m/s", "Close the hatch, leave within 20 minutes"],
                ["Work in the hub, rotor locked", "12 m/s", "Leave the hub, keep the rotor locked"],
                ["Work on the nacelle roof", "10 m/s", "Come inside, do not wait for a lull"],
            ],
            [55, 48, 67],
        ),
        gap,
        h2("2.2 Lock-out sequence"),
        p("1. Stop the turbine from the tower base panel and wait until the rotor turns slower than 2 rpm."),
        p("2. Apply the rotor brake, then insert both rotor lock pins. One pin alone does not hold a gust."),
        p("3. Open the main breaker Q1 and hang a personal padlock on it. Every crew member hangs one."),
        p(
            "4. Wait 12 minutes for the DC link of the converter to discharge, then prove dead "
            "with a two-pole tester at terminals X4:1 and X4:2."
        ),
        p("5. Enter the lock-out in the log with the time and both names."),
        h2("2.3 Lightning"),
        p(
            "If lightning is seen or reported within 30 km, leave the turbine. Work starts again "
            "60 minutes after the last strike inside that circle."
        ),
        PageBreak(),
        # Page 3
        h1("3 Maintenance plan"),
        p(
            "The plan below holds for turbines on land. Offshore turbines follow the same tasks "
            "with the intervals of appendix C, which the operator receives with the site file."
        ),
        table(
            ["Interval", "Task", "Typical time"],
            [
                ["6 months", "Grease main bearing and yaw ring, check pitch batteries", "5 hours"],
                ["12 months", "Retighten 10 percent of blade root bolts, sample gearbox oil", "9 hours"],
                ["24 months", "Replace hydraulic filter and pitch batteries, test overspeed trip", "14 hours"],
                ["48 months", "Replace gearbox oil, 310 litres, and clean the cooler", "22 hours"],
                ["96 months", "Exchange slip rings and yaw brake pads", "30 hours"],
            ],
            [30, 105, 35],
        ),
        gap,
        h2("3.1 Oil sample"),
        p(
            "Draw the sample from valve V12 while the oil is between 40 and 60 degrees Celsius. "
            "Discard the first half litre. An iron content above 150 ppm means a second sample "
            "after 14 days; above 250 ppm the turbine is stopped and the gearbox inspected with "
            "an endoscope."
        ),
        h2("3.2 Bolt sampling"),
        p(
            "If one bolt of the sampled tenth turns by more than 20 degrees, check every bolt of "
            "that flange. If three or more turn, stop the turbine and call the technical desk."
        ),
        PageBreak(),
        # Page 4
        h1("4 Torque values and lubricants"),
        h2("4.1 Torque"),
        table(
            ["Joint", "Bolt", "Torque", "Paste"],
            [
                ["Blade root to pitch bearing", "M36, grade 10.9", "2,740 Nm", "Molybdenum"],
                ["Tower flange, middle", "M42, grade 10.9", "4,350 Nm", "Molybdenum"],
                ["Main bearing housing", "M48, grade 8.8", "3,980 Nm", "None"],
                ["Generator foot", "M30, grade 8.8", "1,210 Nm", "None"],
                ["Yaw drive flange", "M20, grade 10.9", "560 Nm", "Copper"],
            ],
            [60, 42, 34, 34],
        ),
        gap,
        p(
            "Torque in three passes of 50, 80 and 100 percent, always across the circle and never "
            "around it. A calibrated tool carries a label not older than 12 months; a tool without "
            "a label is not used."
        ),
        h2("4.2 Lubricants"),
        table(
            ["Place", "Lubricant", "Amount"],
            [
                ["Main bearing", "Lithium complex grease NLGI 2", "450 g every 6 months"],
                ["Yaw ring", "Open gear spray, graphite", "800 ml every 6 months"],
                ["Pitch bearing, each blade", "Calcium sulphonate grease NLGI 1.5", "220 g every 6 months"],
                ["Gearbox", "Synthetic oil ISO VG 320", "310 litres every 48 months"],
            ],
            [52, 68, 50],
        ),
        gap,
        p(
            "Never mix lithium and calcium sulphonate grease: the mixture turns thin and leaves "
            "the bearing within weeks. Collect spent grease; it is hazardous waste."
        ),
        PageBreak(),
        # Page 5
        h1("5 Fault codes"),
        p(
            "The controller keeps the last 200 faults. Read them before you reset anything: a reset "
            "clears the snapshot of measured values that belongs to the fault."
        ),
        table(
            ["Code", "Meaning", "First action"],
            [
                ["E-104", "Anemometer signals differ by more than 3 m/s", "Check for ice, then the heater fuse F31"],
                ["E-217", "Pitch battery below 204 V under load", "Replace the whole string, never one battery"],
                ["E-233", "Blade angles differ by more than 2 degrees", "Compare encoders A and B, clean connector X22"],
                ["E-318", "Gearbox oil above 78 degrees Celsius", "Clean the cooler, check the bypass valve"],
                ["E-405", "Yaw twist above 3.5 turns", "Untwist by hand mode before any reset"],
                ["E-512", "Converter water pressure below 1.4 bar", "Look for a leak, refill with 50 percent glycol"],
            ],
            [20, 78, 72],
        ),
        gap,
        h2("5.1 Reset rules"),
        p(
            "The same fault may be reset from remote three times within 24 hours. The fourth time "
            "needs a visit. E-217 and E-405 are never reset from remote, because both can leave a "
            "turbine that cannot stop itself."
        ),
        h2("5.2 Ice"),
        p(
            "After an ice stop a person on site looks at all three blades from the ground with "
            "binoculars. Nobody walks within 250 metres of the tower until the blades are clear."
        ),
        PageBreak(),
        # Page 6
        h1("6 Spare parts, records and help"),
        h2("6.1 Spare parts"),
        p(
            "Every service van carries two pitch battery strings, one anemometer, a set of fuses "
            "and 25 litres of coolant. Larger parts come from the warehouse in Esbjerg. An order "
            "placed before 14:00 leaves the same day; a part for a stopped turbine is marked "
            "PRIORITY WHITE and is flown if the road takes longer than eight hours."
        ),
        table(
            ["Part", "Part number", "On stock"],
            [
                ["Pitch battery string", "NT3-4410-B", "24"],
                ["Anemometer, heated", "NT3-1107", "18"],
                ["Hydraulic filter 10 micrometre", "NT3-2203-F", "60"],
                ["Slip ring unit", "NT3-5530", "3"],
            ],
            [70, 55, 30],
        ),
        gap,
        h2("6.2 Records"),
        p(
            "The service report is filed within 48 hours of the visit, with photographs of every "
            "opened joint. Reports are kept for 12 years, two years longer than the turbine "
            "warranty. A visit without a report is treated as not done."
        ),
        h2("6.3 Help"),
        p(
            "The technical desk answers from 06:00 to 22:00 Central European Time. Outside these "
            "hours the duty engineer decides alone whether a turbine is stopped. After an accident "
            "the first call is 112, the second is the site manager, the third is the desk."
        ),
    ]


def footer(canvas, document):
    canvas.saveState()
    canvas.setFont("Helvetica", 8)
    canvas.setFillColor(colors.HexColor("#5a606b"))
    canvas.drawString(20 * mm, 12 * mm, "Northwind Turbines NT-3 Maintenance Handbook")
    canvas.drawRightString(190 * mm, 12 * mm, f"Page {document.page} of 6")
    canvas.restoreState()


def write(path):
    document = SimpleDocTemplate(
        str(path),
        pagesize=A4,
        leftMargin=20 * mm,
        rightMargin=20 * mm,
        topMargin=20 * mm,
        bottomMargin=22 * mm,
        title="NT-3 Maintenance Handbook",
        author="Northwind Turbines",
        subject="Field service of the NT-3 wind turbine",
        # Fixed dates and identifiers, so that every run writes the same bytes.
        invariant=1,
    )
    document.build(story(), onFirstPage=footer, onLaterPages=footer)
    if document.page != 6:
        raise SystemExit(f"the handbook has {document.page} pages, its footer says 6")
